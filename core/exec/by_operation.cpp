#include "core/exec/by_operation.h"

#include <algorithm>
#include <string_view>

#include "core/control/loops.h"
#include "core/ops/creation.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/ops.h"
#include "linnet/trace.h"

namespace linnet {
namespace {

TensorList run_scan(const ScanParams& p, Inputs operands) {
  const Graph& body = p.body->graph();
  Reader reader(operands);
  const Inputs constants = reader.take(static_cast<size_t>(p.constants));
  const Inputs first = reader.take(static_cast<size_t>(p.carries));
  TensorList carry(first.begin(), first.end());
  const TypeList types = result_types(body);
  std::vector<TensorList> stacked(types.size() - carry.size());
  for (int64_t turn = 0; turn < p.length; ++turn) {
    const int64_t t = p.reverse ? p.length - 1 - turn : turn;
    TensorList inputs(constants.begin(), constants.end());
    inputs.insert(inputs.end(), carry.begin(), carry.end());
    for (const Tensor& xs : reader.rest())
      inputs.push_back(squeeze(slice_axis(xs, t, t + 1, 0), Axes{0}));
    TensorList results = run_by_operation(body, inputs);
    for (size_t k = 0; k < stacked.size(); ++k) stacked[k].push_back(results[carry.size() + k]);
    results.resize(carry.size());
    carry = std::move(results);
  }
  for (size_t k = 0; k < stacked.size(); ++k) {
    if (p.reverse) std::reverse(stacked[k].begin(), stacked[k].end());
    TensorType type = types[first.size() + k];
    type.shape.insert(0, 0);
    carry.push_back(stacked[k].empty() ? zeros_of(type) : stack(stacked[k]));
  }
  return carry;
}

TensorList run_while(const WhileParams& p, Inputs operands) {
  Reader reader(operands);
  const Inputs asked = reader.take(static_cast<size_t>(p.condition_constants));
  const Inputs constants = reader.take(static_cast<size_t>(p.body_constants));
  TensorList carry(reader.rest().begin(), reader.rest().end());
  const auto with_carry = [&](Inputs front) {
    return joined<Tensor>({front, std::span<const Tensor>(carry)});
  };
  while (run_by_operation(p.condition->graph(), with_carry(asked))[0].item<bool>())
    carry = run_by_operation(p.body->graph(), with_carry(constants));
  return carry;
}

TensorList run_node(const Graph::Node& node, const TensorList& operands) {
  if (node.primitive == &scan_primitive()) return run_scan(node.params.as<ScanParams>(), operands);
  if (node.primitive == &while_primitive())
    return run_while(node.params.as<WhileParams>(), operands);
  if (node.primitive == &cond_primitive()) {
    const auto branch = static_cast<size_t>(operands[0].item<int32_t>());
    return run_by_operation(node.params.as<CondParams>().branches.at(branch)->graph(),
                            Inputs(operands).subspan(1));
  }
  return emit(*node.primitive, operands, node.params);
}

/// What the path of a node adds to the present one.
std::string_view inner_path(std::string_view path) {
  const std::string& here = module_path();
  if (here.empty() || !path.starts_with(here)) return path;
  path.remove_prefix(here.size());
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

}  // namespace

TensorList run_by_operation(const Graph& graph, Inputs inputs) {
  const TraceScope eager(nullptr);
  TensorList values(graph.types.size());
  for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs[i]] = inputs[i];
  for (const auto& [id, value] : graph.constants) values[id] = value;
  for (const Graph::Node& node : graph.nodes) {
    TensorList operands;
    for (ValueId id : node.inputs) operands.push_back(values[id]);
    const ModulePathScope path(inner_path(node.path));
    const TensorList results = run_node(node, operands);
    for (size_t k = 0; k < results.size(); ++k) values[node.outputs[k]] = results[k];
  }
  TensorList out;
  for (ValueId id : graph.outputs) out.push_back(with_weak(values[id], graph.types[id].weak));
  return out;
}

}  // namespace linnet
