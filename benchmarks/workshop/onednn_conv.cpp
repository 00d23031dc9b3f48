// Convolutions of small networks through the prepared kernels, with Winograd allowed and not.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

#include "kernels/cpu/onednn/onednn.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;
using namespace linnet::cpu::onednn;

enum Pass : int64_t { kForward, kData, kWeights };

struct AlignedDelete {
  void operator()(void* p) const { std::free(p); }
};
std::unique_ptr<void, AlignedDelete> aligned(size_t bytes) {
  void* p = std::aligned_alloc(64, (bytes + 127) / 64 * 64);
  std::fill_n(static_cast<char*>(p), bytes, char(0));
  return std::unique_ptr<void, AlignedDelete>(p);
}

void convolution(benchmark::State& state) {
  ConvSpec spec;
  spec.batch = state.range(0), spec.in_channels = state.range(1),
  spec.out_channels = state.range(3);
  spec.in_size = {state.range(2), state.range(2)};
  spec.kernel_size = {state.range(4), state.range(4)};
  const int64_t padding = state.range(4) / 2;
  spec.padding_low = spec.padding_high = {padding, padding};
  spec.dtype = spec.out_dtype = state.range(6) == 2 ? DType::kBF16 : DType::kF32;
  spec.allow_winograd = state.range(7);
  set_num_threads(static_cast<int>(state.range(8)));
  const PrepareResult result = state.range(5) == kForward ? prepare_conv_forward(spec)
                               : state.range(5) == kData  ? prepare_conv_backward_data(spec)
                                                          : prepare_conv_backward_weights(spec);
  if (!result.kernel) return state.SkipWithError(result.declined.c_str());
  const int64_t pixels = spec.batch * element_count(spec.in_size),
                taps = element_count(spec.kernel_size);
  const size_t size = size_of(spec.dtype);
  const auto x = aligned(pixels * spec.in_channels * size),
             y = aligned(pixels * spec.out_channels * size);
  const auto w = aligned(taps * spec.in_channels * spec.out_channels * size);
  const auto workspace = aligned(result.kernel->workspace_bytes());
  const void* forward[] = {x.get(), w.get()};
  const void* data[] = {y.get(), w.get()};
  const void* weights[] = {x.get(), y.get()};
  void* results[] = {y.get(), x.get(), w.get()};
  const void** inputs[] = {forward, data, weights};
  const int64_t pass = state.range(5);
  for (auto _ : state)
    result.kernel->execute({inputs[pass], 2}, {results + pass, 1}, workspace.get());
  state.SetLabel(result.kernel->implementation());
  const double products = static_cast<double>(pixels * taps * spec.in_channels * spec.out_channels);
  state.counters["GF/s"] =
      benchmark::Counter(2e-9 * products, benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "in", "size", "out", "kernel", "pass", "bytes", "winograd", "threads"});
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
  for (int64_t threads : {1, 2}) {
    for (const auto& [n, in, size, out] : {std::array<int64_t, 4>{64, 1, 28, 32},
                                           {64, 32, 14, 64},
                                           {64, 64, 7, 64},
                                           {8, 64, 56, 64},
                                           {32, 128, 28, 128}}) {
      for (int64_t pass : {kForward, kData, kWeights}) {
        b->Args({n, in, size, out, 3, pass, 4, 0, threads});
        if (in >= 32 && size >= 14) b->Args({n, in, size, out, 3, pass, 4, 1, threads});
        b->Args({n, in, size, out, 3, pass, 2, 0, threads});
      }
    }
  }
}

BENCHMARK(convolution)->Apply(shapes);

}  // namespace
