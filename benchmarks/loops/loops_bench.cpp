// What loops cost: a turn, a call, their compilation, the memory of their gradients.
#include <benchmark/benchmark.h>

#include "benchmarks/support/paired.h"
#include "linnet/core.h"

namespace {

using namespace linnet;

constexpr int64_t kTurns = 10000;

/// `count` elementwise operations.
Tensor small_operations(Tensor x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x = i % 2 ? x * 0.99 : x + 0.01;
  return x;
}

/// Runs `f` and reports the processor's time by turn and operation.
template <class F>
void report_turns(benchmark::State& state, int64_t operations, const F& f) {
  f();
  double best = 1e30;
  for (auto _ : state) {
    const double begin = bench::thread_cpu_seconds();
    f();
    best = std::min(best, bench::thread_cpu_seconds() - begin);
  }
  state.counters["cpu_ns_per_turn"] = best / kTurns * 1e9;
  state.counters["cpu_ns_per_operation"] = best / static_cast<double>(kTurns * operations) * 1e9;
}

void scan_turn(benchmark::State& state) {
  const int64_t operations = state.range(0);
  const auto f = jit([operations](const Tensor& x) {
    return scan(
               [&](const Tensor& c) {
                 return std::pair(small_operations(c, operations), std::tuple<>());
               },
               x, {.length = kTurns})
        .first;
  });
  const Tensor x = ones({state.range(1)});
  report_turns(state, operations, [&] { benchmark::DoNotOptimize(f(x)); });
}
BENCHMARK(scan_turn)
    ->ArgNames({"operations", "elements"})
    ->ArgsProduct({{1, 4, 16, 64}, {1, 16}})
    ->Unit(benchmark::kMillisecond);

/// Operations that are not fused: each is a kernel of its own.
void scan_turn_of_kernels(benchmark::State& state) {
  const auto f = jit([](const Tensor& x) {
    return scan(
               [](const Tensor& c) {
                 return std::pair(cumsum(flip(cumsum(flip(c, {0}), 0), {0}), 0) * 0.01,
                                  std::tuple<>());
               },
               x, {.length = kTurns})
        .first;
  });
  const Tensor x = ones({8});
  report_turns(state, 5, [&] { benchmark::DoNotOptimize(f(x)); });
}
BENCHMARK(scan_turn_of_kernels)->Unit(benchmark::kMillisecond);

void while_turn(benchmark::State& state) {
  const auto f = jit([](const Tensor& n) {
    return while_loop([&](const Tensor& i) { return i < n; }, [](const Tensor& i) { return i + 1; },
                      0);
  });
  const Tensor n(static_cast<int32_t>(kTurns));
  report_turns(state, 2, [&] { benchmark::DoNotOptimize(f(n)); });
}
BENCHMARK(while_turn)->Unit(benchmark::kMillisecond);

/// Outside jit the body is recorded at every call, and its code found again.
void eager_call(benchmark::State& state) {
  const Tensor x = ones({8});
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        scan([](const Tensor& c) { return std::pair(small_operations(c, 8), std::tuple<>()); }, x,
             {.length = 1})
            .first);
  }
}
BENCHMARK(eager_call)->Unit(benchmark::kMicrosecond);

Tensor layer(const Tensor& h, const Tensor& w, const Tensor& x) { return tanh(matmul(h, w) + x); }

Tensor loss(const Tensor& w, const Tensor& xs, int64_t layers) {
  return sum(scan(
                 [&](const Tensor& h, const Tensor& x) {
                   Tensor next = h;
                   for (int64_t i = 0; i < layers; ++i) next = layer(next, w, x);
                   return std::pair(next, std::tuple<>());
                 },
                 zeros({16, 64}), xs)
                 .first);
}

void compile_gradient(benchmark::State& state) {
  const int64_t steps = state.range(0), layers = state.range(1);
  const Tensor w = zeros({64, 64}), xs = zeros({steps, 16, 64});
  double bytes = 0;
  for (auto _ : state) {
    const auto gradient = jit([&](const Tensor& a, const Tensor& b) {
      return grad([&](const Tensor& c) { return loss(c, b, layers); })(a);
    });
    bytes = static_cast<double>(gradient.lower(w, xs).arena_bytes());
  }
  state.counters["arena_bytes_per_step"] = bytes / static_cast<double>(steps);
}
BENCHMARK(compile_gradient)
    ->ArgNames({"steps", "layers"})
    ->Args({16, 1})
    ->Args({256, 1})
    ->Args({4096, 1})
    ->Args({64, 8})
    ->Args({64, 64})
    ->Args({64, 256})
    ->Unit(benchmark::kMillisecond);

}  // namespace
