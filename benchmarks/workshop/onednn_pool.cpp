// Pools of a small network: the own kernels, forward and gradient.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/cpu/pool/pool.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;
using namespace linnet::cpu;

void pool(benchmark::State& state) {
  PoolSpec spec;
  spec.kind = state.range(4) ? PoolKind::kAverageIncludePadding : PoolKind::kMax;
  spec.batch = state.range(0), spec.channels = state.range(2);
  spec.in_size = {state.range(1), state.range(1)};
  spec.window = {state.range(3), state.range(3)};
  spec.strides = {2, 2};
  set_num_threads(static_cast<int>(state.range(6)));
  const bool gradient = state.range(5);
  const PrepareResult result = gradient ? prepare_pool_backward(spec) : prepare_pool_forward(spec);
  if (!result.kernel) return state.SkipWithError(result.declined.c_str());
  const int64_t in = spec.batch * element_count(spec.in_size) * spec.channels;
  const int64_t out = spec.batch * element_count(spec.out_size()) * spec.channels;
  std::vector<float> x(in), y(out), dx(in);
  uint32_t word = 1;
  for (float& value : x) value = static_cast<float>((word = word * 1664525u + 1013904223u) >> 8);
  const void* both[] = {x.data(), y.data()};
  const void* only[] = {gradient ? y.data() : x.data()};
  void* outputs[] = {gradient ? dx.data() : y.data()};
  const std::span<const void* const> inputs = gradient && spec.kind == PoolKind::kMax
                                                  ? std::span<const void* const>(both)
                                                  : std::span<const void* const>(only);
  for (auto _ : state) result.kernel->execute(inputs, outputs, nullptr);
  const int64_t touched =
      gradient ? (spec.kind == PoolKind::kMax ? 2 * in + out : in + out) : in + out;
  state.SetBytesProcessed(state.iterations() * touched * 4);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "size", "c", "window", "average", "gradient", "threads"});
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
  for (int64_t threads : {1, 2}) {
    for (const auto& [n, size, c, window] :
         {std::array<int64_t, 4>{64, 28, 32, 2}, {64, 14, 64, 2}, {8, 112, 64, 3}}) {
      for (int64_t average : {0, 1}) {
        for (int64_t gradient : {0, 1}) b->Args({n, size, c, window, average, gradient, threads});
      }
    }
  }
}

BENCHMARK(pool)->Apply(shapes);

}  // namespace
