// Times two ways of doing the same work in turns, so that both see the same clock and the same
// neighbours, and reports their ratio.
//
//   void add(benchmark::State& state) {
//     compare(state, [&] { keep(x + y); }, [&] { kernel(x_data, y_data, z_data); });
//   }
//   BENCHMARK(add)->UseManualTime();
//
// The reported time is that of the first; `bare_ns` is the second's, `over_ns` their difference,
// `ratio` the first over the second. All three are medians over the batches. `cpu_ns` is the time
// the calling thread had a processor during the first: less than the reported time if something
// else ran in between. `cpu_ratio` compares these times: on one thread it holds on a machine that
// others use as well.
//
// With several threads the two ways have threads of their own each, Linnet's and OpenMP's, which
// take the processors from one another for milliseconds after their last work. That is no way
// anybody uses either, so then each has a process of its own: LINNET_BENCH_SIDE=ours (the default)
// or bare says which one is timed, and run.sh puts the two together.
#pragma once

#include <benchmark/benchmark.h>

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "linnet/parallel.h"

namespace linnet::bench {

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Seconds that `count` calls take.
template <class F>
double seconds_of(int64_t count, F& function) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i) function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Calls that fill about 100 us, so that reading the clock (20 ns) does not show.
template <class F>
int64_t batch_size(F& function) {
  function();
  function();
  const double once = seconds_of(4, function) / 4;
  return std::clamp<int64_t>(static_cast<int64_t>(100e-6 / std::max(once, 1e-9)), 1, 100'000);
}

/// Times one way alone.
template <class F>
void measure(benchmark::State& state, F& function) {
  const int64_t batch = batch_size(function);
  double cpu = 0;
  while (state.KeepRunningBatch(batch)) {
    const double start = thread_cpu_seconds();
    state.SetIterationTime(seconds_of(batch, function));
    cpu += thread_cpu_seconds() - start;
  }
  state.counters["cpu_ns"] = cpu * 1e9 / static_cast<double>(state.iterations());
}

inline bool bare_side() {
  const char* side = std::getenv("LINNET_BENCH_SIDE");
  return side && std::string_view(side) == "bare";
}

template <class F, class G>
void compare(benchmark::State& state, F ours, G bare) {
  if (num_threads() > 1) return bare_side() ? measure(state, bare) : measure(state, ours);
  const int64_t batch = batch_size(ours);
  seconds_of(batch, bare);
  std::vector<double> bare_ns, over_ns, ratio;
  double cpu = 0, bare_cpu = 0;
  while (state.KeepRunningBatch(batch)) {
    const double start = thread_cpu_seconds();
    const double first = seconds_of(batch, ours);
    cpu += thread_cpu_seconds() - start;
    const double between = thread_cpu_seconds();
    const double second = seconds_of(batch, bare);
    bare_cpu += thread_cpu_seconds() - between;
    state.SetIterationTime(first);
    bare_ns.push_back(second / static_cast<double>(batch) * 1e9);
    over_ns.push_back((first - second) / static_cast<double>(batch) * 1e9);
    ratio.push_back(first / second);
  }
  state.counters["cpu_ns"] = cpu * 1e9 / static_cast<double>(state.iterations());
  state.counters["cpu_ratio"] = cpu / bare_cpu;
  state.counters["bare_ns"] = median(bare_ns);
  state.counters["over_ns"] = median(over_ns);
  state.counters["ratio"] = median(ratio);
}

}  // namespace linnet::bench
