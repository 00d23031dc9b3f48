#include "core/passes/open_scan.h"

#include <algorithm>

#include "core/ops/arithmetic.h"
#include "core/ops/callback.h"
#include "core/passes/passes.h"

namespace linnet {

Graph part_of(const Graph& body, const std::vector<ValueId>& inputs,
              const std::vector<ValueId>& outputs) {
  Graph out = body;
  out.inputs.clear();
  std::vector<ValueId> fresh;
  for (ValueId id : inputs) {
    fresh.push_back(out.add_value(body.types[id]));
    out.inputs.push_back(fresh.back());
  }
  out.outputs = outputs;
  substitute(out, inputs, fresh);
  // An input of the body that nothing reads any more is no value of the part.
  remove_dead_code(out);
  return out;
}

std::vector<ValueId> append(Graph& outer, std::vector<Graph::Node>& nodes, const Graph& graph,
                            const std::vector<ValueId>& inputs) {
  std::vector<ValueId> map(graph.types.size(), -1);
  for (size_t i = 0; i < inputs.size(); ++i) map[graph.inputs[i]] = inputs[i];
  for (const auto& [id, value] : graph.constants) {
    map[id] = outer.add_value(graph.types[id]);
    outer.constants.emplace_back(map[id], value);
  }
  for (const Graph::Node& node : graph.nodes) {
    Graph::Node copy = node;
    for (ValueId& id : copy.inputs) id = map[id];
    for (ValueId& id : copy.outputs) id = map[id] = outer.add_value(graph.types[id]);
    nodes.push_back(std::move(copy));
  }
  std::vector<ValueId> outputs;
  for (ValueId id : graph.outputs) outputs.push_back(map[id]);
  return outputs;
}

void substitute(Graph& graph, const std::vector<ValueId>& values, const std::vector<ValueId>& by) {
  std::vector<ValueId> map(graph.types.size());
  for (size_t id = 0; id < map.size(); ++id) map[id] = static_cast<ValueId>(id);
  for (size_t i = 0; i < values.size(); ++i) map[values[i]] = by[i];
  for (Graph::Node& node : graph.nodes) {
    for (ValueId& id : node.inputs) id = map[id];
  }
  for (ValueId& id : graph.outputs) id = map[id];
}

OpenScan::OpenScan(Graph& outer, Replacements& replaced, const Graph::Node& node, Graph body,
                   const std::function<bool(ValueId)>& used)
    : outer_(outer),
      replaced_(replaced),
      params_(node.params.as<ScanParams>()),
      body_(std::move(body)),
      path_(node.path),
      operands_(node.inputs),
      results_(node.outputs) {
  for (ValueId& id : operands_) id = replaced_.find(id);
  for (ValueId id : results_) wanted_.push_back(used(id));
}

std::vector<Graph::Node> OpenScan::close() {
  std::vector<Graph::Node> nodes = std::move(before_);
  if (!results_.empty()) {
    remove_dead_code(body_);
    params_.body = std::make_shared<Program>(std::move(body_));
    nodes.push_back({&scan_primitive(), Params(params_), operands_, results_, path_});
  }
  nodes.insert(nodes.end(), after_.begin(), after_.end());
  return nodes;
}

bool OpenScan::recomputes() const {
  return std::any_of(body_.nodes.begin(), body_.nodes.end(), [](const Graph::Node& node) {
    return node.primitive == &optimization_barrier_primitive();
  });
}

std::vector<uint8_t> OpenScan::follows() const {
  std::vector<uint8_t> out(body_.types.size(), 0);
  for (size_t i = constants(); i < body_.inputs.size(); ++i)
    out[body_.inputs[i]] = i < first_sequence() ? Follows::kCarry : Follows::kSequence;
  for (const Graph::Node& node : body_.nodes) {
    uint8_t all = 0;
    for (ValueId id : node.inputs) all |= out[id];
    // A function of the host is called turn by turn: it may take no batch.
    if (calls_host(node)) all |= Follows::kCarry | Follows::kSequence;
    for (ValueId id : node.outputs) out[id] = all;
  }
  return out;
}

ValueId OpenScan::add_constant(ValueId outer) {
  const ValueId inner = body_.add_value(outer_.types[outer]);
  const int64_t at = params_.constants++;
  body_.inputs.insert(body_.inputs.begin() + at, inner);
  operands_.insert(operands_.begin() + at, outer);
  return inner;
}

ValueId OpenScan::add_sequence(ValueId outer) {
  TensorType type = outer_.types[outer];
  type.shape.erase(0);
  const ValueId inner = body_.add_value(std::move(type));
  body_.inputs.push_back(inner);
  operands_.push_back(outer);
  return inner;
}

bool OpenScan::is_stacked(ValueId value) const {
  const auto sequences = body_.inputs.begin() + static_cast<int64_t>(first_sequence());
  const auto stacked = body_.outputs.begin() + params_.carries;
  return std::find(sequences, body_.inputs.end(), value) != body_.inputs.end() ||
         std::find(stacked, body_.outputs.end(), value) != body_.outputs.end();
}

ValueId OpenScan::stacked(ValueId value) {
  for (size_t i = first_sequence(); i < body_.inputs.size(); ++i) {
    if (body_.inputs[i] == value) return operands_[i];
  }
  for (size_t k = carries(); k < body_.outputs.size(); ++k) {
    if (body_.outputs[k] != value) continue;
    wanted_[k] = 1;
    return results_[k];
  }
  TensorType type = body_.types[value];
  type.shape.insert(0, params_.length);
  body_.outputs.push_back(value);
  results_.push_back(outer_.add_value(std::move(type)));
  wanted_.push_back(1);
  return results_.back();
}

void OpenScan::replace_result(size_t k, ValueId by) {
  const size_t at = carries() + k;
  replaced_.set(results_[at], by);
  // A result that work behind the scan reads keeps a name of its own.
  results_[at] = outer_.add_value(outer_.types[results_[at]]);
  wanted_[at] = 0;
}

ValueId OpenScan::rename_carry(size_t k) {
  const ValueId old = results_[k];
  results_[k] = outer_.add_value(outer_.types[old]);
  wanted_[k] = 1;
  return old;
}

std::vector<uint8_t> OpenScan::needed_inputs(const std::vector<uint8_t>& live) const {
  std::vector<uint8_t> needed(body_.types.size(), 0);
  for (size_t k = 0; k < live.size(); ++k) needed[body_.outputs[k]] |= live[k];
  for (size_t n = body_.nodes.size(); n-- > 0;) {
    const Graph::Node& node = body_.nodes[n];
    if (std::none_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId id) { return needed[id] != 0; }))
      continue;
    for (ValueId id : node.inputs) needed[id] = 1;
  }
  return needed;
}

std::vector<uint8_t> OpenScan::live_results() const {
  std::vector<uint8_t> live = wanted_;
  for (bool changed = true; changed;) {
    changed = false;
    const std::vector<uint8_t> needed = needed_inputs(live);
    for (size_t k = 0; k < carries(); ++k) {
      changed |= needed[carry_in(k)] && !live[k];
      live[k] |= needed[carry_in(k)];
    }
  }
  return live;
}

void OpenScan::freeze_unchanged() {
  for (size_t k = carries(); k-- > 0;) {
    if (body_.outputs[k] != carry_in(k)) continue;
    const ValueId inner = carry_in(k), outer = operands_[constants() + k];
    replaced_.set(results_[k], outer);
    body_.inputs.erase(body_.inputs.begin() + params_.constants + static_cast<int64_t>(k));
    operands_.erase(operands_.begin() + params_.constants + static_cast<int64_t>(k));
    body_.outputs.erase(body_.outputs.begin() + static_cast<int64_t>(k));
    results_.erase(results_.begin() + static_cast<int64_t>(k));
    wanted_.erase(wanted_.begin() + static_cast<int64_t>(k));
    --params_.carries;
    const ValueId fixed = add_constant(outer);
    substitute(body_, {inner}, {fixed});
  }
}

void OpenScan::drop_dead() {
  const std::vector<uint8_t> live = live_results();
  const std::vector<uint8_t> needed = needed_inputs(live);
  std::vector<ValueId> inputs, operands, outputs, results;
  std::vector<uint8_t> wanted;
  ScanParams fresh = params_;
  for (size_t i = 0; i < body_.inputs.size(); ++i) {
    const bool carry = i >= constants() && i < first_sequence();
    if (carry ? !live[i - constants()] : !needed[body_.inputs[i]]) {
      fresh.constants -= i < constants();
      fresh.carries -= carry;
      continue;
    }
    inputs.push_back(body_.inputs[i]);
    operands.push_back(operands_[i]);
  }
  for (size_t k = 0; k < live.size(); ++k) {
    if (!live[k]) continue;
    outputs.push_back(body_.outputs[k]);
    results.push_back(results_[k]);
    wanted.push_back(wanted_[k]);
  }
  params_ = fresh;
  body_.inputs = std::move(inputs);
  body_.outputs = std::move(outputs);
  operands_ = std::move(operands);
  results_ = std::move(results);
  wanted_ = std::move(wanted);
  // Nodes that made the dropped results must not read inputs that are gone.
  std::erase_if(body_.nodes, [&](const Graph::Node& node) {
    return std::none_of(node.outputs.begin(), node.outputs.end(),
                        [&](ValueId id) { return needed[id] != 0; });
  });
}

void OpenScan::merge_operands() {
  for (size_t i = 0; i < body_.inputs.size(); ++i) {
    if (i >= constants() && i < first_sequence()) continue;
    for (size_t j = i < constants() ? 0 : first_sequence(); j < i; ++j) {
      if (operands_[j] != operands_[i]) continue;
      substitute(body_, {body_.inputs[i]}, {body_.inputs[j]});
      break;
    }
  }
}

void OpenScan::prune() {
  freeze_unchanged();
  merge_operands();
  drop_dead();
}

}  // namespace linnet
