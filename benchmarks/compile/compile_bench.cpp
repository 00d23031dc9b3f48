// Compile time against the size of the program: an LSTM cell unrolled over time, forward and
// backward. It stays linear if the counter `us_per_node` stays the same from one, two, four to
// eight thousand nodes.
#include <benchmark/benchmark.h>

#include <vector>

#include "core/exec/executable.h"
#include "core/passes/passes.h"
#include "core/trace/graph_trace.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace {

using namespace linnet;

Graph unrolled(int64_t steps) {
  const TensorType batch{DType::kF32, {32, 64}}, weight{DType::kF32, {64, 64}};
  return trace_to_graph(
             [&](Inputs x) {
               const auto loss = [&](const std::vector<Tensor>& w) {
                 Tensor h = zeros({32, 64}), c = zeros({32, 64});
                 for (int64_t t = 0; t < steps; ++t) {
                   const Tensor in = x[0] + h;
                   c = sigmoid(matmul(in, w[0])) * c +
                       sigmoid(matmul(in, w[1])) * tanh(matmul(in, w[2]));
                   h = sigmoid(matmul(in, w[3])) * tanh(c);
                 }
                 return sum(h * h);
               };
               return TensorList(grad(loss)(std::vector<Tensor>(x.begin() + 1, x.end())));
             },
             {batch, weight, weight, weight, weight})
      .graph;
}

/// @param state range(0): nodes, about.
Graph of_size(const benchmark::State& state) {
  const auto per_step = static_cast<double>(unrolled(64).nodes.size()) / 64;
  return unrolled(static_cast<int64_t>(static_cast<double>(state.range(0)) / per_step));
}

void report(benchmark::State& state, const Graph& graph) {
  const auto nodes = static_cast<double>(graph.nodes.size());
  state.counters["nodes"] = nodes;
  state.counters["us_per_node"] = benchmark::Counter(
      nodes * 1e-6, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void whole(benchmark::State& state) {
  const Graph graph = of_size(state);
  for (auto _ : state) benchmark::DoNotOptimize(compile(graph));
  report(state, graph);
}
void fusion(benchmark::State& state) {
  const Graph graph = inline_control(of_size(state));
  for (auto _ : state) {
    Graph copy = graph;
    fuse_elementwise(copy);
    benchmark::DoNotOptimize(copy);
  }
  report(state, graph);
}

BENCHMARK(whole)->RangeMultiplier(2)->Range(1000, 8000)->Unit(benchmark::kMillisecond);
BENCHMARK(fusion)->RangeMultiplier(2)->Range(1000, 8000)->Unit(benchmark::kMillisecond);

}  // namespace
