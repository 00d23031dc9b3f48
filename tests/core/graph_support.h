// Recording graphs and looking at them, for tests of the compiler.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/exec/executable.h"
#include "core/graph/fused_elementwise.h"
#include "core/graph/graph.h"
#include "core/passes/options.h"
#include "core/passes/passes.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/graph_trace.h"
#include "linnet/core.h"

namespace linnet {

using GraphFunction = std::function<TensorList(const TensorList&)>;

inline TensorType type(const Shape& shape, DType dtype = DType::kF32) { return {dtype, shape}; }

/// The graph of `f` on operands of these types; constants with dimensions must not be captured.
inline Graph record(const TypeList& types, const GraphFunction& f) {
  TracedFunction traced =
      trace_to_graph([&](Inputs x) { return f(TensorList(x.begin(), x.end())); }, types);
  EXPECT_TRUE(traced.captured.empty());
  verify(traced.graph, "recording");
  return std::move(traced.graph);
}

inline size_t count_nodes(const Graph& graph, const std::string& name) {
  return static_cast<size_t>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(),
                    [&](const Graph::Node& node) { return node.primitive->name == name; }));
}

/// Names of the nodes in order: `add mul`.
inline std::string names(const Graph& graph) {
  std::string out;
  for (const Graph::Node& node : graph.nodes)
    out += (out.empty() ? "" : " ") + node.primitive->name;
  return out;
}

/// Names inside the only cluster.
inline std::string cluster_names(const Graph& graph) {
  for (const Graph::Node& node : graph.nodes) {
    if (node.primitive != &fused_elementwise_primitive()) continue;
    return names(*node.params.as<FusedElementwiseParams>().body);
  }
  return "no cluster";
}

/// Equal types and equal bits, where any NaN equals any other.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.type() != b.type()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  const size_t bytes = static_cast<size_t>(x.size()) * size_of(x.dtype());
  if (bytes == 0 || std::memcmp(x.impl()->data, y.impl()->data, bytes) == 0) return true;
  if (!is_floating(x.dtype())) return false;
  const Tensor both_nan = logical_and(is_nan(x), is_nan(y));
  const Tensor equal_bits = equal(x, y);
  const auto fine = logical_or(both_nan, equal_bits).to_vector<bool>();
  if (!std::all_of(fine.begin(), fine.end(), [](bool f) { return f; })) return false;
  // Zeros of different sign compare equal; their reciprocals do not.
  const auto signs =
      equal(where(both_nan, ones_like(x), 1 / x), where(both_nan, ones_like(y), 1 / y))
          .to_vector<bool>();
  return std::all_of(signs.begin(), signs.end(), [](bool f) { return f; });
}

/// Runs the program node by node and compiled under `options`, and compares all bits.
inline void expect_compiled_agrees(const Graph& graph, const TensorList& inputs,
                                   CompileOptions options = {}) {
  options.verify = true;
  const TensorList wanted = run_graph(graph, inputs);
  const ScopedCompileOptions scope(options);
  const auto executable = compile(graph);
  // Clusters are interpreted first, and then have machine code.
  for (int repeat = 0; repeat < 3; ++repeat) {
    const TensorList got = executable->run(TensorList(inputs));
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t k = 0; k < got.size(); ++k) {
      EXPECT_TRUE(same_bits(got[k], wanted[k]))
          << "result " << k << ": got " << to_string(got[k]) << ", wanted " << to_string(wanted[k])
          << "\n"
          << to_string(graph) << to_string(executable->graph());
    }
  }
}

/// Values that tell positions and roundings apart: k -> sin(k + seed) * 3, or small integers.
inline Tensor sample(const TensorType& type, int seed = 0) {
  const int64_t count = element_count(type.shape);
  std::vector<double> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double wave = 3 * std::sin(static_cast<double>(i) * 0.7 + seed);
    values[static_cast<size_t>(i)] = is_floating(type.dtype) ? wave : std::floor(wave);
  }
  return from_vector(values, type.shape).astype(type.dtype);
}

inline TensorList samples(const Graph& graph) {
  TensorList out;
  for (ValueId id : graph.inputs)
    out.push_back(sample(graph.types[id], static_cast<int>(out.size())));
  return out;
}

}  // namespace linnet
