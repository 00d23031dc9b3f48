// How fast memory passes through the operations that are bound by it. Read each next to `copy`,
// which is what the machine can do at the moment.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "benchmarks/support/inputs.h"
#include "benchmarks/support/paired.h"
#include "benchmarks/support/shapes.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/optim.h"
#include "linnet/parallel.h"
#include "linnet/random.h"

namespace {

using namespace linnet;

Tensor spread(const Shape& shape) {
  return from_vector(workload::spread(static_cast<size_t>(element_count(shape))), shape);
}

void use_threads(const benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(0)));
}

void count_bytes(benchmark::State& state, int64_t bytes_each) {
  state.counters["GB/s"] = benchmark::Counter(1e-9 * static_cast<double>(bytes_each),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void copy(benchmark::State& state) {
  use_threads(state);
  const std::vector<float> from(size_t{16} << 20, 1);
  std::vector<float> to(from.size());
  for (auto _ : state) {
    cpu::parallel_for(static_cast<int64_t>(from.size()), 1 << 16, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin,
                  static_cast<size_t>(end - begin) * sizeof(float));
    });
    benchmark::ClobberMemory();
  }
  count_bytes(state, static_cast<int64_t>(from.size()) * 8);
}

/// Eight operations as one loop, as one would write it by hand for this processor.
#if defined(__x86_64__)
__attribute__((target_clones("default", "avx2", "arch=skylake-avx512"), optimize("O3", "tree-vectorize")))
#endif
void hand_written_chain(const float* x, const float* y, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float scaled = x[i] * 1.25f + 0.5f;
    const float positive = scaled > 0.f ? scaled : 0.f;
    const float mixed = positive * y[i] - x[i];
    out[i] = (mixed * mixed + y[i]) * 0.75f;
  }
}

Tensor chain(const Tensor& x, const Tensor& y) {
  const Tensor mixed = maximum(x * 1.25f + 0.5f, 0.f) * y - x;
  return (mixed * mixed + y) * 0.75f;
}

void fused_chain(benchmark::State& state) {
  use_threads(state);
  const int64_t count = state.range(1);
  const Tensor x = spread({count}), y = spread({count});
  std::vector<float> out(static_cast<size_t>(count));
  const auto compiled = jit([](const Tensor& a, const Tensor& b) { return chain(a, b); });
  const float *x_data = x.data<float>().data(), *y_data = y.data<float>().data();
  bench::compare(
      state, [&] { benchmark::DoNotOptimize(compiled(x, y).impl()); },
      [&] {
        cpu::parallel_for(count, 1 << 15, [&](int64_t begin, int64_t end) {
          hand_written_chain(x_data + begin, y_data + begin, out.data() + begin, end - begin);
        });
        benchmark::ClobberMemory();
      });
  count_bytes(state, count * 12);
}

/// The same operations one by one.
void eager_chain(benchmark::State& state) {
  use_threads(state);
  const int64_t count = state.range(1);
  const Tensor x = spread({count}), y = spread({count});
  benchmark::DoNotOptimize(chain(x, y).impl());  // the memory of the results is had once
  for (auto _ : state) benchmark::DoNotOptimize(chain(x, y).impl());
  count_bytes(state, count * 12);
}

template <class F>
void one_operand(benchmark::State& state, const Shape& shape, int64_t bytes_per_element,
                 F function) {
  use_threads(state);
  const Tensor x = spread(shape);
  benchmark::DoNotOptimize(function(x).impl());  // the memory of the result is had once
  for (auto _ : state) benchmark::DoNotOptimize(function(x).impl());
  count_bytes(state, x.size() * bytes_per_element);
}

void exp_256k(benchmark::State& state) {
  one_operand(state, {1 << 18}, 8, [](const Tensor& x) { return exp(x); });
}
void tanh_256k(benchmark::State& state) {
  one_operand(state, {1 << 18}, 8, [](const Tensor& x) { return tanh(x); });
}
void gelu_256k(benchmark::State& state) {
  one_operand(state, {1 << 18}, 8, [](const Tensor& x) { return gelu(x); });
}
void sum_4m(benchmark::State& state) {
  one_operand(state, {1 << 22}, 4, [](const Tensor& x) { return sum(x); });
}
void softmax_1024x768(benchmark::State& state) {
  one_operand(state, {1024, 768}, 8, [](const Tensor& x) { return softmax(x); });
}
void softmax_256x50304(benchmark::State& state) {
  one_operand(state, {256, 50304}, 8, [](const Tensor& x) { return softmax(x); });
}
void layer_norm_1024x768(benchmark::State& state) {
  const Tensor scale = ones({768}).contiguous(), bias = zeros({768}).contiguous();
  one_operand(state, {1024, 768}, 8, [&](const Tensor& x) { return layer_norm(x, scale, bias); });
}
void transpose_2048(benchmark::State& state) {
  one_operand(state, {2048, 2048}, 8, [](const Tensor& x) { return x.transpose().contiguous(); });
}

void random_normal_4m(benchmark::State& state) {
  use_threads(state);
  const random::Key key(7);
  benchmark::DoNotOptimize(random::normal(key, {1 << 22}).impl());
  for (auto _ : state) benchmark::DoNotOptimize(random::normal(key, {1 << 22}).impl());
  state.counters["numbers/s"] =
      benchmark::Counter(1 << 22, benchmark::Counter::kIsIterationInvariantRate);
}

/// Reads parameter, gradient and two moments, writes all but the gradient: 28 bytes each.
void adamw_16m(benchmark::State& state) {
  use_threads(state);
  TensorList parameters{spread({int64_t{16} << 20})};
  const TensorList gradients{spread({int64_t{16} << 20})};
  const auto tx = optim::adamw(1e-3);
  optim::TransformState memory = tx.init_list(parameters);
  const auto step = jit([tx](TensorList& p, optim::TransformState& s, const TensorList& g) {
    p = optim::step_lists(tx, p, g, s);
  });
  step(parameters, memory, gradients);
  for (auto _ : state) step(parameters, memory, gradients);
  count_bytes(state, gradients[0].size() * 28);
}

void threads(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(copy)->Apply(threads);
BENCHMARK(fused_chain)->Apply(workload::chain_sizes)->UseManualTime();
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

}  // namespace
