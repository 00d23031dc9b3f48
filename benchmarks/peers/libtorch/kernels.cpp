// Single operations, and what a call costs.
#include "benchmarks/peers/libtorch/side.h"

namespace peers {
namespace {

Tensor eight() { return torch::arange(1, 9, torch::kFloat32); }
Tensor tenths() { return eight() / 10; }

Work gradient_of_ten_tanh() {
  const Tensor x = tenths().requires_grad_();
  return training(
      [x] {
        Tensor y = x;
        for (int i = 0; i < 10; ++i) y = tanh(y);
        return torch::autograd::grad({y.sum()}, {x})[0];
      },
      1, mean_abs, keep);
}

void add(Cases& cases, const std::string& group, const std::string& work,
         std::vector<int64_t> shape, const std::function<Tensor(const Tensor&)>& f,
         double (*check)(const Tensor&) = mean_abs) {
  cases.add(group, work, "eager",
            [=] { return repeat([f, x = uniform(5000, shape, 3)] { return f(x); }, check); });
}

Work layer_norm_of_rows() {
  const Tensor x = uniform(5000, {1024, 768}, 3);
  const Tensor scale = uniform(5001, {768}, 1), bias = uniform(5002, {768}, 1);
  return repeat([=] { return layer_norm(x, {768}, scale, bias, 1e-5); });
}

Work update_adamw() {
  const Tensor parameter = uniform(5000, {1 << 24}, 1).requires_grad_();
  parameter.mutable_grad() = uniform(5001, {1 << 24}, 1);
  const auto optimizer = std::make_shared<torch::optim::AdamW>(
      std::vector<Tensor>{parameter}, torch::optim::AdamWOptions(1e-3).weight_decay(1e-2));
  return training(
      [optimizer, parameter] {
        optimizer->step();
        return parameter;
      },
      2, mean_abs, keep);
}

}  // namespace

void add_kernels(Cases& cases) {
  cases.add("small", "add8", "eager",
            [] { return repeat([a = eight(), b = tenths()] { return a + b; }); });
  cases.add("small", "tanh10_grad_eager", "eager", gradient_of_ten_tanh);
  const auto by_rows = [](const Tensor& x) { return softmax(x, -1); };
  add(cases, "elementwise", "exp_256k", {1 << 18}, [](const Tensor& x) { return exp(x); });
  add(cases, "elementwise", "tanh_256k", {1 << 18}, [](const Tensor& x) { return tanh(x); });
  add(cases, "elementwise", "gelu_256k", {1 << 18},
      [](const Tensor& x) { return at::gelu(x, "tanh"); });
  add(cases, "elementwise", "sum_16m", {1 << 24}, [](const Tensor& x) { return x.sum(); });
  cases.add("rows", "layer_norm_1024x768", "eager", layer_norm_of_rows);
  add(cases, "rows", "softmax_1024x768", {1024, 768}, by_rows, mean_square);
  add(cases, "rows", "softmax_256x50304", {256, 50304}, by_rows, mean_square);
  add(cases, "memory", "transpose_2048", {2048, 2048},
      [](const Tensor& x) { return x.t().contiguous(); });
  add(cases, "memory", "cumsum_4096x4096", {4096, 4096},
      [](const Tensor& x) { return cumsum(x, 1); });
  cases.add("memory", "adamw_16m", "eager", update_adamw);
}

}  // namespace peers
