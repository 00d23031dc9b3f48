// Private: the engine of the rewrite rules. It walks over the nodes in order; a rule looks at one
// node and at what made its operands, and changes the node, adds nodes in front of it, or replaces
// its result.
#pragma once

#include <deque>
#include <span>
#include <string_view>
#include <unordered_map>

#include "core/graph/rewrite.h"

namespace linnet {

class Rewriter {
 public:
  explicit Rewriter(Graph& graph);

  struct Rule {
    std::string_view name;
    /// Returns whether it changed anything.
    bool (*apply)(Rewriter&, Graph::Node&);
  };
  /// Applies the rules to every node until none fits. @return whether anything changed.
  bool run(std::span<const Rule> rules, bool repeat);

  const TensorType& type(ValueId id) const { return graph_.types[id]; }
  /// The node that makes a value; null for inputs and constants.
  const Graph::Node* producer(ValueId id) const;
  /// The operand of the node that makes `id`, if that is a `primitive`; else -1.
  ValueId operand_of(ValueId id, const Primitive& primitive) const;
  /// The number that a value is, or that all its elements are; null if unknown.
  const Tensor* number(ValueId id) const;
  /// An earlier result of `relu` on `id`, or -1.
  ValueId relu_of(ValueId id) const;

  /// Appends a node with one result in front of the current one.
  ValueId emit(const Primitive& primitive, ParamsRef params, std::vector<ValueId> inputs,
               TensorType type, const std::string& path);
  ValueId constant(const Tensor& value);
  /// Makes `by` stand for the node's only result. Refused, without effect, unless both have one
  /// type.
  bool replace(Graph::Node& node, ValueId by);

 private:
  void append(Graph::Node node);

  Graph& graph_;
  Replacements replaced_;
  std::deque<Graph::Node> done_;  // a rule may hold on to a node while it adds others
  std::vector<int32_t> made_by_;  // index into done_
  std::unordered_map<ValueId, Tensor> constants_;
  std::unordered_map<ValueId, ValueId> relus_;
  bool dropped_ = false;
};

/// All rules; the order does not matter for the result.
std::span<const Rewriter::Rule> rewrite_rules();

}  // namespace linnet
