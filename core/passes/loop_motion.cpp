// Work that moves between a loop and the program around it.
#include <algorithm>

#include "core/ops/arithmetic.h"
#include "core/ops/callback.h"
#include "core/ops/conv.h"
#include "core/ops/dot.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "core/passes/loops.h"
#include "core/passes/open_scan.h"
#include "core/passes/passes.h"

namespace linnet {
namespace {

/// Memory for what is done before or after instead of in every turn.
constexpr int64_t kMostBytes = int64_t{1} << 28;

int64_t bytes_of(const TensorType& type) {
  return element_count(type.shape) * static_cast<int64_t>(size_of(type.dtype));
}

int64_t bytes_of(const Graph& graph, std::span<const ValueId> ids) {
  int64_t bytes = 0;
  for (ValueId id : ids) bytes += bytes_of(graph.types[id]);
  return bytes;
}

/// A product, or a convolution with the same kernel in every turn.
bool is_product(const Graph::Node& node, const std::vector<uint8_t>& varies) {
  return node.primitive == &dot_general_primitive() ||
         (node.primitive == &conv_primitive() && !varies[node.inputs[1]]);
}

/// The nodes marked, and all that they need.
std::vector<uint8_t> with_ancestors(const Graph& graph, std::vector<uint8_t> nodes) {
  const std::vector<int32_t> made_by = producers(graph);
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    if (!nodes[n]) continue;
    for (ValueId id : graph.nodes[n].inputs) {
      if (made_by[id] >= 0) nodes[made_by[id]] = 1;
    }
  }
  return nodes;
}

/// Results of the nodes in `from` that something reads which is not in `within`.
std::vector<ValueId> read_outside(const Graph& graph, const std::vector<uint8_t>& from,
                                  const std::vector<uint8_t>& within) {
  std::vector<uint8_t> read(graph.types.size(), 0);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (within[n]) continue;
    for (ValueId id : graph.nodes[n].inputs) read[id] = 1;
  }
  for (ValueId id : graph.outputs) read[id] = 1;
  std::vector<ValueId> out;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!from[n]) continue;
    for (ValueId id : graph.nodes[n].outputs) {
      if (read[id]) out.push_back(id);
    }
  }
  return out;
}

/// Nodes that compute the same in every turn and do not make something large out of something
/// small, which is cheaper to do again than to read.
std::vector<uint8_t> invariant_nodes(const Graph& body, const std::vector<uint8_t>& varies) {
  std::vector<uint8_t> out;
  for (const Graph::Node& node : body.nodes) {
    const bool fixed = !node.inputs.empty() && !varies[node.outputs[0]];
    out.push_back(fixed && (is_product(node, varies) ||
                            bytes_of(body, node.outputs) <= bytes_of(body, node.inputs)));
  }
  return out;
}

/// What a body computes from its constants, the first `constants` inputs, is had from `hoisted`
/// instead, a graph of the constants. @return the values of the body that its results stand for.
std::vector<ValueId> take_invariants(const Graph& body, size_t constants,
                                     const std::vector<uint8_t>& varies, Graph& hoisted) {
  const std::vector<uint8_t> chosen = invariant_nodes(body, varies);
  const std::vector<ValueId> values = read_outside(body, chosen, with_ancestors(body, chosen));
  if (values.empty()) return {};
  const std::vector<ValueId> inputs(body.inputs.begin(),
                                    body.inputs.begin() + static_cast<int64_t>(constants));
  hoisted = part_of(body, inputs, values);
  return values;
}

void hoist_invariants(OpenScan& scan) {
  Graph hoisted;
  const std::vector<ValueId> values =
      take_invariants(scan.body(), scan.constants(), scan.follows(), hoisted);
  if (values.empty()) return;
  std::vector<ValueId> operands, by;
  for (size_t i = 0; i < scan.constants(); ++i) operands.push_back(scan.operand(i));
  for (ValueId outer : append(scan.outer(), scan.before(), hoisted, operands))
    by.push_back(scan.add_constant(outer));
  substitute(scan.body(), values, by);
}

/// A part of the body for all turns at once: `inputs` that are constants of the body stay as they
/// are, all others are stacked. Empty if a result would not be.
Graph for_all_turns(const OpenScan& scan, const std::vector<ValueId>& inputs,
                    const std::vector<ValueId>& outputs) {
  const Graph& body = scan.body();
  const auto constants = std::span(body.inputs).first(scan.constants());
  std::vector<uint8_t> batched;
  for (ValueId id : inputs)
    batched.push_back(std::find(constants.begin(), constants.end(), id) == constants.end());
  const Program::Batched batch =
      Program(part_of(body, inputs, outputs)).batch(batched, {"", scan.length()});
  const bool all = std::all_of(batch.results.begin(), batch.results.end(),
                               [](uint8_t result) { return result != 0; });
  return all ? inline_control(batch.program->graph()) : Graph{};
}

/// Products of elements of the sequences do not wait for the carry: they become one product each
/// for all turns, in front of the loop.
void advance_products(OpenScan& scan) {
  const Graph& body = scan.body();
  const std::vector<uint8_t> follows = scan.follows();
  std::vector<uint8_t> chosen;
  for (const Graph::Node& node : body.nodes)
    chosen.push_back(is_product(node, follows) && follows[node.outputs[0]] == Follows::kSequence);
  const std::vector<ValueId> values = read_outside(body, chosen, with_ancestors(body, chosen));
  if (values.empty() || scan.length() * bytes_of(body, values) > kMostBytes) return;

  std::vector<ValueId> inputs, operands, by;
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    if (i >= scan.constants() && i < scan.first_sequence()) continue;
    inputs.push_back(body.inputs[i]);
    operands.push_back(scan.operand(i));
  }
  const Graph all = for_all_turns(scan, inputs, values);
  if (all.outputs.empty()) return;
  for (ValueId outer : append(scan.outer(), scan.before(), all, operands))
    by.push_back(scan.add_sequence(outer));
  substitute(scan.body(), values, by);
}

/// Products whose results only leave the loop, and what follows from them, are done for all turns
/// at once behind it, from stacked operands.
void postpone_products(OpenScan& scan) {
  const Graph& body = scan.body();
  std::vector<uint8_t> feeds(body.nodes.size(), 0), chosen(body.nodes.size(), 0);
  const std::vector<int32_t> made_by = producers(body);
  for (size_t k = 0; k < scan.carries(); ++k) {
    if (made_by[body.outputs[k]] >= 0) feeds[made_by[body.outputs[k]]] = 1;
  }
  // What a function of the host reads is made turn by turn.
  for (size_t n = 0; n < body.nodes.size(); ++n)
    if (calls_host(body.nodes[n])) feeds[n] = 1;
  feeds = with_ancestors(body, std::move(feeds));
  const std::vector<uint8_t> follows = scan.follows();
  std::vector<uint8_t> late(body.types.size(), 0);
  for (size_t n = 0; n < body.nodes.size(); ++n) {
    const Graph::Node& node = body.nodes[n];
    chosen[n] = !feeds[n] && (is_product(node, follows) ||
                              std::any_of(node.inputs.begin(), node.inputs.end(),
                                          [&](ValueId id) { return late[id] != 0; }));
    for (ValueId id : node.outputs) late[id] = chosen[n];
  }
  std::vector<size_t> results;
  std::vector<ValueId> values;
  for (size_t k = scan.carries(); k < body.outputs.size(); ++k) {
    if (!late[body.outputs[k]]) continue;
    results.push_back(k - scan.carries());
    values.push_back(body.outputs[k]);
  }
  if (values.empty()) return;

  std::vector<ValueId> inputs, stacked;
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    if (i < scan.constants() || i >= scan.first_sequence()) inputs.push_back(body.inputs[i]);
  }
  int64_t more = 0;
  for (size_t n = 0; n < body.nodes.size(); ++n) {
    if (!chosen[n]) continue;
    for (ValueId id : body.nodes[n].inputs) {
      if (late[id] || !(follows[id] & Follows::kCarry)) continue;
      if (std::find(stacked.begin(), stacked.end(), id) != stacked.end()) continue;
      stacked.push_back(id);
      if (!scan.is_stacked(id)) more += bytes_of(body.types[id]);
    }
  }
  if (more > (scan.recomputes() ? 0 : 4 * bytes_of(body, values)) ||
      scan.length() * more > kMostBytes)
    return;
  inputs.insert(inputs.end(), stacked.begin(), stacked.end());
  const Graph all = for_all_turns(scan, inputs, values);
  if (all.outputs.empty()) return;
  std::vector<ValueId> operands;
  for (size_t i = 0; i < scan.constants(); ++i) operands.push_back(scan.operand(i));
  for (size_t i = scan.first_sequence(); i < body.inputs.size(); ++i)
    operands.push_back(scan.operand(i));
  for (ValueId id : stacked) operands.push_back(scan.stacked(id));
  std::vector<Graph::Node> nodes;
  const std::vector<ValueId> outer = append(scan.outer(), nodes, all, operands);
  // In front of the sums behind the loop, which may read what was a result of it until now.
  scan.after().insert(scan.after().begin(), nodes.begin(), nodes.end());
  for (size_t r = 0; r < results.size(); ++r) scan.replace_result(results[r], outer[r]);
}

}  // namespace

void move_work(OpenScan& scan) {
  scan.prune();
  hoist_invariants(scan);
  if (scan.length() > 1) {
    advance_products(scan);
    scan.prune();
    sum_behind(scan);
    scan.prune();
    postpone_products(scan);
  }
  scan.prune();
}

Graph hoist_invariants(Graph& body, size_t constants) {
  std::vector<uint8_t> varies(body.types.size(), 0);
  for (size_t i = constants; i < body.inputs.size(); ++i) varies[body.inputs[i]] = 1;
  for (const Graph::Node& node : body.nodes) {
    // A function of the host is not called for a loop without turns.
    const bool any = calls_host(node) || std::any_of(node.inputs.begin(), node.inputs.end(),
                                                     [&](ValueId id) { return varies[id] != 0; });
    for (ValueId id : node.outputs) varies[id] = any;
  }
  Graph hoisted;
  const std::vector<ValueId> values = take_invariants(body, constants, varies, hoisted);
  std::vector<ValueId> fresh;
  for (ValueId id : values) fresh.push_back(body.add_value(body.types[id]));
  body.inputs.insert(body.inputs.begin() + static_cast<int64_t>(constants), fresh.begin(),
                     fresh.end());
  substitute(body, values, fresh);
  remove_dead_code(body);
  return hoisted;
}

}  // namespace linnet
