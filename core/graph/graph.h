// A program as data: a flat, typed, single-assignment list of nodes.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "linnet/primitive.h"

namespace linnet {

using ValueId = int32_t;

struct Graph {
  struct Node {
    const Primitive* primitive = nullptr;
    Params params;
    std::vector<ValueId> inputs, outputs;
    std::string path;  ///< module path under which it was emitted
  };

  std::vector<TensorType> types;  ///< of every value
  std::vector<ValueId> inputs, outputs;
  std::vector<std::pair<ValueId, Tensor>> constants;  ///< small embedded values
  std::vector<Node> nodes;

  ValueId add_value(TensorType type) {
    types.push_back(std::move(type));
    return static_cast<ValueId>(types.size()) - 1;
  }
};

/// Types of the operands and of the results of a program.
TypeList input_types(const Graph& graph);
TypeList result_types(const Graph& graph);

/// The graphs that parameters hold.
using HeldGraphs = std::vector<const Graph*> (*)(ParamsRef);
/// Declares that `primitive` has such parameters; where it is defined.
const Primitive& with_subgraphs(const Primitive& primitive, HeldGraphs held);
/// The graphs of programs that an application of a primitive runs.
std::vector<const Graph*> subgraphs(const Primitive& primitive, ParamsRef params);
inline std::vector<const Graph*> subgraphs(const Graph::Node& node) {
  return subgraphs(*node.primitive, node.params);
}

/// One line per node, the graphs that it holds indented below it: `%3:f32[32,10] = dot_general(%0,
/// %1) {lhs_contract=[1], ...}  @ mlp/up`.
std::string to_string(const Graph& graph);

/// Checks single assignment, definition before use, and that every node's result types are what its
/// primitive infers from its operand types; the same in the graphs that nodes hold.
/// @throws TraceError naming `pass` and the node.
void verify(const Graph& graph, const char* pass);

/// Emits the nodes in the current trace and gives the outputs.
TensorList run_graph(const Graph& graph, Inputs inputs);

}  // namespace linnet
