// Private: a scan taken apart, between the program around it and its body, so that work can move
// across.
#pragma once

#include <functional>
#include <vector>

#include "core/control/loops.h"
#include "core/graph/rewrite.h"

namespace linnet {

/// What a value in a body follows from, as a bit mask.
struct Follows {
  static constexpr uint8_t kCarry = 1, kSequence = 2;
};

/// The part of `body` that makes `outputs` from `inputs`, which may be any of its values.
Graph part_of(const Graph& body, const std::vector<ValueId>& inputs,
              const std::vector<ValueId>& outputs);

/// Appends the nodes of `graph`, applied to values of `outer`, to `nodes`. Gives its results.
std::vector<ValueId> append(Graph& outer, std::vector<Graph::Node>& nodes, const Graph& graph,
                            const std::vector<ValueId>& inputs);

/// Puts `by` in the place of values of `graph`.
void substitute(Graph& graph, const std::vector<ValueId>& values, const std::vector<ValueId>& by);

class OpenScan {
 public:
  /// @param used whether anything reads a result of the node.
  OpenScan(Graph& outer, Replacements& replaced, const Graph::Node& node, Graph body,
           const std::function<bool(ValueId)>& used);

  /// The nodes that now stand for the scan, in order.
  std::vector<Graph::Node> close();

  const ScanParams& params() const { return params_; }
  int64_t length() const { return params_.length; }
  Graph& body() { return body_; }
  const Graph& body() const { return body_; }
  size_t constants() const { return static_cast<size_t>(params_.constants); }
  size_t carries() const { return static_cast<size_t>(params_.carries); }
  size_t first_sequence() const { return constants() + carries(); }
  ValueId carry_in(size_t k) const { return body_.inputs[constants() + k]; }
  /// The outer value of operand `i`.
  ValueId operand(size_t i) const { return operands_[i]; }

  /// Whether the body computes things again rather than keep them, so that memory counts more.
  bool recomputes() const;

  /// For each value of the body whether it follows from the carry or from sequences.
  std::vector<uint8_t> follows() const;

  /// Nodes in front of the scan, and behind it.
  std::vector<Graph::Node>& before() { return before_; }
  std::vector<Graph::Node>& after() { return after_; }
  Graph& outer() { return outer_; }
  const std::string& path() const { return path_; }

  /// Gives the body an outer value; returns its name there.
  ValueId add_constant(ValueId outer);
  ValueId add_sequence(ValueId outer);
  /// The outer value that holds `value` of every turn: a sequence, or a result made for it.
  ValueId stacked(ValueId value);
  /// Whether that exists already.
  bool is_stacked(ValueId value) const;
  /// Drops stacked result `k` (counted without the carry); `by` stands for it outside.
  void replace_result(size_t k, ValueId by);
  /// Gives the last value of carry `k` another name outside, and returns the old one, which is
  /// nobody's now.
  ValueId rename_carry(size_t k);
  /// The outer name of its last value.
  ValueId carry_result(size_t k) const { return results_[k]; }

  /// Drops what nobody reads, and makes constants of carries that do not change.
  void prune();

 private:
  std::vector<uint8_t> live_results() const;
  std::vector<uint8_t> needed_inputs(const std::vector<uint8_t>& live) const;
  void freeze_unchanged();
  void drop_dead();
  void merge_operands();

  Graph& outer_;
  Replacements& replaced_;
  ScanParams params_;
  Graph body_;
  std::string path_;
  std::vector<ValueId> operands_, results_;  ///< outer
  std::vector<uint8_t> wanted_;              ///< of the results
  std::vector<Graph::Node> before_, after_;
};

}  // namespace linnet
