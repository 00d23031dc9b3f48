// Questions about a graph, and replacing values by others; what every pass needs.
//
//   Replacements replaced(graph);
//   replaced.set(node.outputs[0], node.inputs[0]);
//   replaced.apply(graph);                 // whoever read the first now reads the second
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/graph/graph.h"

namespace linnet {

/// For each value the index of the node that makes it, -1 for inputs and constants.
std::vector<int32_t> producers(const Graph& graph);
/// How often each value is read, by nodes and as a result of the program.
std::vector<int32_t> use_counts(const Graph& graph);
/// For each value the indices of the nodes that read it, ascending, each once. In one list, since a
/// list for each value is most of what a pass over a small program would allocate.
class Consumers {
 public:
  Consumers() = default;
  explicit Consumers(const Graph& graph);
  std::span<const int32_t> operator[](ValueId value) const {
    const size_t at = static_cast<size_t>(value);
    return {nodes_.data() + ends_[at], nodes_.data() + ends_[at + 1]};
  }
  size_t size() const { return ends_.size() - 1; }  ///< how many values

 private:
  std::vector<int32_t> nodes_;
  std::vector<size_t> ends_{0};  ///< of the readers of the values before each, and of the last
};

/// Values that stand for others. Chains are followed.
class Replacements {
 public:
  explicit Replacements(const Graph& graph);
  /// Both values must have the same type; `by` must be defined wherever `value` is read.
  void set(ValueId value, ValueId by);
  ValueId find(ValueId value) const;
  /// Rewrites the operands of all nodes and the results of the program.
  void apply(Graph& graph) const;

 private:
  std::vector<ValueId> to_;
};

/// Numbers values in the order of their definition and forgets those that are not defined any more.
void renumber(Graph& graph);

/// Types of the operands of a node.
TypeList operand_types(const Graph& graph, std::span<const ValueId> inputs);

}  // namespace linnet
