// Single operations, eager and jitted.
#include <stdexcept>

#include "benchmarks/peers/linnet/side.h"

namespace peers {
namespace {

constexpr int64_t kSmall = 262'144, kLarge = 16'777'216;

using Operands = std::function<TensorList()>;
using Operation = std::function<Tensor(const TensorList&)>;
using Check = std::function<double(const Tensor&)>;

void add_both(Cases& cases, const std::string& group, const std::string& work,
              const Operands& operands, const Operation& f, const Check& check = mean_abs) {
  cases.add(group, work, "eager",
            [=] { return repeat([f, v = operands()] { return f(v); }, check); });
  cases.add(group, work, "jit", [=] {
    return repeat([compiled = jit(f), v = operands()] { return compiled(v); }, check);
  });
}

void add_elementwise(Cases& cases, const std::string& name, const Operation& f) {
  for (const int64_t n : {kSmall, kLarge}) {
    const auto operands = [n] { return TensorList{uniform(5000, {n}, 3), uniform(5001, {n}, 1)}; };
    add_both(cases, "elementwise", name + (n == kSmall ? "_256k" : "_16m"), operands, f);
  }
}

Operands one(const Shape& shape) {
  return [shape] { return TensorList{uniform(5000, shape, 3)}; };
}

/// What tells results of softmax apart, whose mean is known.
double mean_square(const Tensor& x) {
  double sum = 0;
  for (const float value : x.data<float>()) sum += static_cast<double>(value) * value;
  return sum / static_cast<double>(x.size());
}

void add_rows(Cases& cases) {
  add_both(
      cases, "rows", "layer_norm_1024x768",
      [] {
        return TensorList{uniform(5000, {1024, 768}, 3), uniform(5001, {768}, 1),
                          uniform(5002, {768}, 1)};
      },
      [](const TensorList& v) { return layer_norm(v[0], v[1], v[2], 1e-5); });
  const auto by_rows = [](const TensorList& v) { return softmax(v[0]); };
  add_both(cases, "rows", "softmax_1024x768", one({1024, 768}), by_rows, mean_square);
  add_both(cases, "rows", "softmax_256x50304", one({256, 50304}), by_rows, mean_square);
  add_both(
      cases, "rows", "xent_grad_256x50304",
      [] {
        return TensorList{uniform(5000, {256, 50304}, 3), labels(256, 197, 50304)};
      },
      [](const TensorList& v) {
        return grad([&](const Tensor& logits) { return cross_entropy(logits, v[1]); })(v[0]);
      });
}

TensorList embedding_operands() {
  std::vector<int32_t> index;
  for (int64_t i = 0; i < 8192; ++i)
    index.push_back(static_cast<int32_t>(i * 7919 % 6007 * 8 % 50304));
  return {uniform(5000, {50304, 768}, 1), from_vector(index, {8192}),
          uniform(5001, {8192, 768}, 1)};
}

void add_embedding(Cases& cases) {
  add_both(cases, "memory", "embed_50304x768_fwd", embedding_operands,
           [](const TensorList& v) { return take(v[0], v[1]); });
  add_both(cases, "memory", "embed_50304x768_bwd", embedding_operands, [](const TensorList& v) {
    return grad([&](const Tensor& table) { return sum(take(table, v[1]) * v[2]); })(v[0]);
  });
}

/// Ten times the part that is zero.
double dropped(const Tensor& x) {
  double zeros = 0;
  for (const float value : x.data<float>()) zeros += value == 0;
  return 10 * zeros / static_cast<double>(x.size());
}

double two_elements(const Tensor& sorted) {
  const auto values = sorted.data<float>();
  return static_cast<double>(values[1000]) + static_cast<double>(values[1'000'000]);
}

/// Checks that the copy is one: a view costs nothing.
double dense_mean_abs(const Tensor& x) {
  if (!x.is_contiguous()) throw std::runtime_error("the transpose is a view");
  return mean_abs(x);
}

Work update_adamw(bool compiled) {
  struct All {
    Tensor parameter, gradient;
    optim::TransformState memory;
  };
  const auto tx = optim::adamw(1e-3, {.weight_decay = 1e-2});
  const Tensor parameter = uniform(5000, {kLarge}, 1);
  const auto all = std::make_shared<All>(parameter, uniform(5001, {kLarge}, 1), tx.init(parameter));
  const auto step = [tx](Tensor& p, const Tensor& g, optim::TransformState& memory) {
    optim::step(tx, p, g, memory);
  };
  const auto with = [all](auto update) {
    return training(
        [all, update] {
          update(all->parameter, all->gradient, all->memory);
          return all->parameter;
        },
        2, mean_abs, keep);
  };
  return compiled ? with(jit(step)) : with(step);
}

}  // namespace

void add_kernels(Cases& cases) {
  add_elementwise(cases, "exp", [](const TensorList& v) { return exp(v[0]); });
  add_elementwise(cases, "tanh", [](const TensorList& v) { return tanh(v[0]); });
  add_elementwise(cases, "gelu", [](const TensorList& v) { return gelu(v[0]); });
  add_elementwise(cases, "chain", [](const TensorList& v) { return tanh(v[0] * 2 + 1) * v[1]; });
  add_elementwise(cases, "sum", [](const TensorList& v) { return sum(v[0]); });
  add_rows(cases);
  add_both(
      cases, "memory", "transpose_2048", one({2048, 2048}),
      [](const TensorList& v) { return v[0].transpose().contiguous(); }, dense_mean_abs);
  add_both(cases, "memory", "cumsum_256k", one({kSmall}),
           [](const TensorList& v) { return cumsum(v[0], 0); });
  add_both(cases, "memory", "cumsum_4096x4096", one({4096, 4096}),
           [](const TensorList& v) { return cumsum(v[0], 1); });
  add_both(
      cases, "memory", "sort_1m", one({1'048'576}), [](const TensorList& v) { return sort(v[0]); },
      two_elements);
  add_embedding(cases);
  add_both(
      cases, "memory", "dropout_4m",
      [] {
        return TensorList{uniform(5000, {4'194'304}, 3), Key(1).data()};
      },
      [](const TensorList& v) { return dropout(v[0], v[1], 0.1); }, dropped);
  for (const bool compiled : {true, false})
    cases.add("memory", "adamw_16m", compiled ? "jit" : "eager",
              [compiled] { return update_adamw(compiled); });
}

}  // namespace peers
