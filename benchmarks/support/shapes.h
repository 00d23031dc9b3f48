// The sizes that a library and its peer are both measured at, so that rows of both are the same
// work.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>

namespace workload {

/// Chains of elementwise operations: in the first cache, in the second, in memory.
inline void chain_sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"threads", "elements"})->Unit(benchmark::kMicrosecond);
  for (int64_t count : {1 << 12, 1 << 18, 1 << 24}) b->Args({1, count})->Args({2, count});
}

inline void product_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "k", "n", "bf16", "threads"})->Unit(benchmark::kMicrosecond);
  for (int64_t threads : {1, 2}) {
    for (const auto& [m, k, n] : {std::array<int64_t, 3>{64, 128, 10},
                                  {64, 256, 128},
                                  {64, 784, 256},
                                  {1, 768, 3072},
                                  {256, 256, 256},
                                  {512, 512, 512},
                                  {1024, 1024, 1024},
                                  {1024, 768, 3072}}) {
      b->Args({m, k, n, 0, threads});
      if (m >= 64) b->Args({m, k, n, 1, threads});
    }
  }
}

inline void convolution_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "in", "size", "out", "kernel", "threads"})->Unit(benchmark::kMicrosecond);
  for (int64_t threads : {1, 2}) {
    b->Args({64, 1, 28, 32, 3, threads})
        ->Args({64, 32, 14, 64, 3, threads})
        ->Args({8, 64, 56, 64, 3, threads})
        ->Args({8, 256, 14, 256, 3, threads})
        ->Args({8, 256, 56, 64, 1, threads});
  }
}

}  // namespace workload
