#include "core/control/scan_vjp.h"

#include <algorithm>

#include "core/ops/callback.h"
#include "core/ops/creation.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

/// Which values follow from the first `constants` inputs alone.
Flags invariant_values(const Graph& graph, size_t constants) {
  Flags out(graph.types.size(), 0);
  for (size_t i = 0; i < constants; ++i) out[graph.inputs[i]] = 1;
  for (const auto& [id, value] : graph.constants) out[id] = 1;
  for (const Graph::Node& node : graph.nodes) {
    // What has an effect is done in its turn, and never again.
    const bool all = !has_effects(node) && std::all_of(node.inputs.begin(), node.inputs.end(),
                                                       [&](ValueId id) { return out[id] != 0; });
    for (ValueId id : node.outputs) out[id] = all;
  }
  return out;
}

int64_t position(std::span<const ValueId> list, ValueId id) {
  const auto found = std::find(list.begin(), list.end(), id);
  return found == list.end() ? -1 : found - list.begin();
}

}  // namespace

ReverseScan::ReverseScan(const ScanParams& params, Flags active)
    : length_(params.length),
      constants_(static_cast<size_t>(params.constants)),
      carries_(static_cast<size_t>(params.carries)),
      reverse_(params.reverse),
      unroll_(params.unroll),
      inputs_of_body_(input_types(params.body->graph())),
      results_of_body_(result_types(params.body->graph())),
      active_(std::move(active)),
      results_(params.body->graph().outputs.size()),
      vjp_(params.body->vjp(active_)),
      forward_(params) {
  classify_residuals(vjp_.forward->graph());
}

void ReverseScan::classify_residuals(const Graph& graph) {
  const size_t first_x = constants_ + carries_;
  const Flags invariant = invariant_values(graph, constants_);
  Graph body = graph, computed = graph;
  body.outputs.resize(results_);
  computed.inputs.resize(constants_);
  computed.outputs.clear();
  std::erase_if(computed.nodes, [&](const Graph::Node& node) {
    return node.outputs.empty() || !invariant[node.outputs[0]];
  });
  using Kind = Residual::Kind;
  for (size_t r = results_; r < graph.outputs.size(); ++r) {
    const ValueId id = graph.outputs[r];
    const int64_t input = position(graph.inputs, id);
    if (input >= 0 && static_cast<size_t>(input) < constants_) {
      residuals_.push_back({Kind::kConstant, static_cast<size_t>(input)});
    } else if (input >= 0 && static_cast<size_t>(input) >= first_x) {
      residuals_.push_back({Kind::kSequence, static_cast<size_t>(input)});
    } else if (invariant[id]) {
      residuals_.push_back({Kind::kComputed, computed.outputs.size()});
      computed.outputs.push_back(id);
    } else {
      const int64_t stacked = position(std::span(body.outputs).subspan(carries_), id);
      residuals_.push_back({Kind::kStacked, stacked < 0 ? body.outputs.size()
                                                        : carries_ + static_cast<size_t>(stacked)});
      if (stacked < 0) body.outputs.push_back(id);
    }
  }
  forward_.body = std::make_shared<Program>(std::move(body));
  if (!computed.outputs.empty()) invariant_ = std::make_shared<Program>(std::move(computed));
}

TensorList ReverseScan::forward(const TensorList& operands, Saved& saved) const {
  TensorList results = emit(scan_primitive(), operands, forward_);
  TensorList computed;
  if (invariant_) computed = call(invariant_, Inputs(operands).first(constants_));
  for (const Residual& residual : residuals_) {
    switch (residual.kind) {
      case Residual::Kind::kConstant:
      case Residual::Kind::kSequence:
        saved.push_back(operands[residual.index]);
        break;
      case Residual::Kind::kComputed:
        saved.push_back(computed[residual.index]);
        break;
      case Residual::Kind::kStacked:
        saved.push_back(results[residual.index]);
    }
  }
  results.resize(results_);
  return results;
}

/// One step back. Operands: residuals that do not vary; the cotangents of constants so far and of
/// the active carries; residuals that vary, and the given cotangents of what was stacked.
TensorList ReverseScan::backward_step(Inputs operands, const Flags& given) const {
  const std::span<const uint8_t> active(active_);
  const size_t varying = static_cast<size_t>(std::count_if(
      residuals_.begin(), residuals_.end(), [](const Residual& r) { return r.varies(); }));
  Reader reader(operands);
  Reader fixed(reader.take(residuals_.size() - varying));
  const Inputs sums = reader.take(count_of(active.first(constants_)));
  Reader carry(reader.take(count_of(active.subspan(constants_, carries_))));
  Reader varied(reader.take(varying)), stacked(reader.rest());

  TensorList inputs;
  for (const Residual& residual : residuals_)
    inputs.push_back((residual.varies() ? varied : fixed).take(1)[0]);
  for (size_t k = 0; k < results_; ++k) {
    const TensorType& type = results_of_body_[k];
    if (!is_inexact(type.dtype)) continue;
    if (k < carries_)
      inputs.push_back(active_[constants_ + k] ? carry.take(1)[0] : zeros_of(type));
    else
      inputs.push_back(given[k - carries_] ? stacked.take(1)[0] : zeros_of(type));
  }
  TensorList out = run_graph(vjp_.backward->graph(), inputs);
  for (size_t i = 0; i < sums.size(); ++i) out[i] = add(sums[i], out[i]);
  return out;
}

ProgramPtr ReverseScan::backward_body(const Flags& given) const {
  const std::string key =
      fmt::format("backward step {} {} {}", constants_, carries_, text_of(given));
  return vjp_.backward->derived<Program>(key, [&]() -> std::shared_ptr<const Program> {
    const Graph& backward = vjp_.backward->graph();
    const size_t first_x = constants_ + carries_;
    TypeList fixed, sums, varied;
    for (size_t r = 0; r < residuals_.size(); ++r)
      (residuals_[r].varies() ? varied : fixed).push_back(backward.types[backward.inputs[r]]);
    for (size_t i = 0; i < first_x; ++i) {
      if (active_[i]) sums.push_back(inputs_of_body_[i]);
    }
    for (size_t k = 0; k < given.size(); ++k) {
      if (given[k]) varied.push_back(results_of_body_[carries_ + k]);
    }
    for (TypeList* list : {&sums, &varied}) {
      for (TensorType& type : *list) type.weak = false;
    }
    const TypeList types = joined<TensorType>({fixed, sums, varied});
    return record_program(
        types, [&](const TensorList& operands) { return backward_step(operands, given); });
  });
}

TensorList ReverseScan::backward(const Saved& saved, Inputs cotangents) const {
  const size_t first_x = constants_ + carries_;
  TensorList fixed, sums, varied;
  for (size_t r = 0; r < residuals_.size(); ++r)
    (residuals_[r].varies() ? varied : fixed).push_back(saved[r]);
  for (size_t i = 0; i < first_x; ++i) {
    if (!active_[i]) continue;
    const TensorType& type = inputs_of_body_[i];
    sums.push_back(i < constants_ ? zeros_of(type)
                                  : defined_or_zeros(cotangents[i - constants_], type));
  }
  Flags given;
  for (size_t k = carries_; k < results_; ++k) {
    const bool floating = is_inexact(results_of_body_[k].dtype);
    given.push_back(floating && cotangents[k].defined());
    if (given.back()) varied.push_back(cotangents[k]);
  }
  ScanParams back{.body = backward_body(given),
                  .length = length_,
                  .constants = static_cast<int64_t>(fixed.size()),
                  .carries = static_cast<int64_t>(sums.size()),
                  .reverse = !reverse_,
                  .unroll = unroll_};
  return spread(emit(scan_primitive(), joined<Tensor>({fixed, sums, varied}), back), active_);
}

}  // namespace linnet
