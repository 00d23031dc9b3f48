// The works of linnet_bench_ops in libtorch, under the same names.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "benchmarks/support/inputs.h"
#include "benchmarks/support/shapes.h"

namespace {

using torch::Tensor;

void use_threads(const benchmark::State& state) {
  at::set_num_threads(static_cast<int>(state.range(0)));
}

Tensor from(const std::vector<float>& values, at::IntArrayRef shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape).clone();
}
Tensor spread(at::IntArrayRef shape) {
  return from(workload::spread(static_cast<size_t>(c10::multiply_integers(shape))), shape);
}

// Small eager operations, without recording for a gradient unless the name says so.
Tensor eight() { return torch::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f, 7.f, 8.f}); }

template <class F>
void without_gradient(benchmark::State& state, F function) {
  at::set_num_threads(1);
  const torch::NoGradGuard guard;
  for (auto _ : state) benchmark::DoNotOptimize(function().unsafeGetTensorImpl());
}

void add(benchmark::State& state) {
  const Tensor x = eight(), y = eight();
  without_gradient(state, [&] { return x + y; });
}
void times_two(benchmark::State& state) {
  const Tensor x = eight();
  without_gradient(state, [&] { return x * 2; });
}
void exponential(benchmark::State& state) {
  const Tensor x = eight();
  without_gradient(state, [&] { return exp(x); });
}
void row_of_bias(benchmark::State& state) {
  const Tensor x = torch::ones({8, 8}), bias = eight();
  without_gradient(state, [&] { return x + bias; });
}
void product_8x8(benchmark::State& state) {
  const Tensor a = torch::ones({8, 8}), b = torch::ones({8, 8});
  without_gradient(state, [&] { return mm(a, b); });
}
void selection(benchmark::State& state) {
  const Tensor x = eight(), y = eight(), chosen = x < 4;
  without_gradient(state, [&] { return where(chosen, x, y); });
}
void sum_of_eight(benchmark::State& state) {
  const Tensor x = eight();
  without_gradient(state, [&] { return sum(x); });
}
void softmax_of_eight(benchmark::State& state) {
  const Tensor x = eight();
  without_gradient(state, [&] { return softmax(x, 0); });
}
void reshape_view(benchmark::State& state) {
  const Tensor x = eight();
  without_gradient(state, [&] { return x.reshape({2, 4}); });
}
void transpose_view(benchmark::State& state) {
  const Tensor x = torch::ones({2, 4});
  without_gradient(state, [&] { return x.t(); });
}
void read_item(benchmark::State& state) {
  const Tensor x = torch::scalar_tensor(3.f);
  for (auto _ : state) benchmark::DoNotOptimize(x.item<float>());
}

template <class F>
void with_gradient(benchmark::State& state, F function) {
  at::set_num_threads(1);
  const Tensor x = eight().requires_grad_();
  for (auto _ : state) {
    const auto gradients = torch::autograd::grad({function(x)}, {x});
    benchmark::DoNotOptimize(gradients[0].unsafeGetTensorImpl());
  }
}
void gradient_of_square(benchmark::State& state) {
  with_gradient(state, [](const Tensor& x) { return (x * x).sum(); });
}
void gradient_of_ten_tanh(benchmark::State& state) {
  with_gradient(state, [](const Tensor& x) {
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = tanh(y);
    return y.sum();
  });
}

// Throughput.
template <class F>
void one_operand(benchmark::State& state, at::IntArrayRef shape, F function) {
  use_threads(state);
  const torch::NoGradGuard guard;
  const Tensor x = spread(shape);
  benchmark::DoNotOptimize(function(x).unsafeGetTensorImpl());
  for (auto _ : state) benchmark::DoNotOptimize(function(x).unsafeGetTensorImpl());
}
void exp_256k(benchmark::State& state) {
  one_operand(state, {1 << 18}, [](const Tensor& x) { return exp(x); });
}
void tanh_256k(benchmark::State& state) {
  one_operand(state, {1 << 18}, [](const Tensor& x) { return tanh(x); });
}
void gelu_256k(benchmark::State& state) {
  one_operand(state, {1 << 18}, [](const Tensor& x) { return at::gelu(x, "tanh"); });
}
void sum_4m(benchmark::State& state) {
  one_operand(state, {1 << 22}, [](const Tensor& x) { return x.sum(); });
}
void softmax_1024x768(benchmark::State& state) {
  one_operand(state, {1024, 768}, [](const Tensor& x) { return softmax(x, -1); });
}
void softmax_256x50304(benchmark::State& state) {
  one_operand(state, {256, 50304}, [](const Tensor& x) { return softmax(x, -1); });
}
void layer_norm_1024x768(benchmark::State& state) {
  const Tensor scale = torch::ones({768}), bias = torch::zeros({768});
  one_operand(state, {1024, 768},
              [&](const Tensor& x) { return layer_norm(x, {768}, scale, bias, 1e-6); });
}
void transpose_2048(benchmark::State& state) {
  one_operand(state, {2048, 2048}, [](const Tensor& x) { return x.t().contiguous(); });
}
void random_normal_4m(benchmark::State& state) {
  use_threads(state);
  for (auto _ : state) benchmark::DoNotOptimize(torch::randn({1 << 22}).unsafeGetTensorImpl());
}

/// Without recording, and with the scratch memory of a model that has been run before.
void eager_chain(benchmark::State& state) {
  use_threads(state);
  const torch::NoGradGuard guard;
  const Tensor x = spread({state.range(1)}), y = spread({state.range(1)});
  for (auto _ : state) {
    const Tensor mixed = clamp_min(x * 1.25f + 0.5f, 0.f) * y - x;
    benchmark::DoNotOptimize(((mixed * mixed + y) * 0.75f).unsafeGetTensorImpl());
  }
}

void adamw_16m(benchmark::State& state) {
  use_threads(state);
  Tensor parameter = spread({int64_t{16} << 20}).requires_grad_();
  parameter.mutable_grad() = spread({int64_t{16} << 20});
  torch::optim::AdamW optimizer({parameter}, torch::optim::AdamWOptions(1e-3).weight_decay(1e-4));
  optimizer.step();
  for (auto _ : state) optimizer.step();
}

void product(benchmark::State& state) {
  at::set_num_threads(static_cast<int>(state.range(4)));
  const torch::NoGradGuard guard;
  const auto type = state.range(3) ? torch::kBFloat16 : torch::kFloat32;
  const Tensor a = torch::full({state.range(0), state.range(1)}, 0.5, type);
  const Tensor b = torch::full({state.range(1), state.range(2)}, 0.25, type);
  for (auto _ : state) benchmark::DoNotOptimize(mm(a, b).unsafeGetTensorImpl());
}

/// Channels-last memory, as in Linnet; that is libtorch's faster way for these shapes.
void convolution(benchmark::State& state) {
  const int64_t n = state.range(0), in = state.range(1), size = state.range(2),
                out = state.range(3);
  const int64_t kernel = state.range(4);
  at::set_num_threads(static_cast<int>(state.range(5)));
  const torch::NoGradGuard guard;
  const Tensor x = torch::full({n, in, size, size}, 0.5).contiguous(at::MemoryFormat::ChannelsLast);
  const Tensor w =
      torch::full({out, in, kernel, kernel}, 0.25).contiguous(at::MemoryFormat::ChannelsLast);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        conv2d(x, w, {}, 1, at::IntArrayRef(kernel / 2)).unsafeGetTensorImpl());
  }
}

void threads(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(add);
BENCHMARK(times_two);
BENCHMARK(exponential);
BENCHMARK(row_of_bias);
BENCHMARK(product_8x8);
BENCHMARK(selection);
BENCHMARK(sum_of_eight);
BENCHMARK(softmax_of_eight);
BENCHMARK(reshape_view);
BENCHMARK(transpose_view);
BENCHMARK(read_item);
BENCHMARK(gradient_of_square);
BENCHMARK(gradient_of_ten_tanh);
BENCHMARK(eager_chain)->Apply(workload::chain_sizes)->UseRealTime();
BENCHMARK(exp_256k)->Apply(threads);
BENCHMARK(tanh_256k)->Apply(threads);
BENCHMARK(gelu_256k)->Apply(threads);
BENCHMARK(sum_4m)->Apply(threads);
BENCHMARK(softmax_1024x768)->Apply(threads);
BENCHMARK(softmax_256x50304)->Apply(threads);
BENCHMARK(layer_norm_1024x768)->Apply(threads);
BENCHMARK(transpose_2048)->Apply(threads);
BENCHMARK(random_normal_4m)->Apply(threads);
BENCHMARK(adamw_16m)->Apply(threads);
BENCHMARK(product)->Apply(workload::product_shapes)->UseRealTime();
BENCHMARK(convolution)->Apply(workload::convolution_shapes)->UseRealTime();

}  // namespace
