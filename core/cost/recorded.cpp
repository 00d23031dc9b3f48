#include <set>

#include "core/cost/flops.h"
#include "core/trace/graph_trace.h"
#include "linnet/count_flops.h"

namespace linnet::detail {
namespace {

GraphTrace* innermost_recording() {
  for (Trace* trace = current_trace(); trace; trace = trace->parent()) {
    if (auto* recording = dynamic_cast<GraphTrace*>(trace)) return recording;
  }
  return nullptr;
}

/// The nodes of `graph` from `begin` on as a program of their own: what they read from before are
/// its inputs, what none of them reads its results.
Graph part_from(const Graph& graph, size_t begin) {
  Graph part;
  part.types = graph.types;
  std::set<ValueId> made, read, constant;
  for (const auto& [id, value] : graph.constants) constant.insert(id);
  part.constants = graph.constants;
  part.nodes.assign(graph.nodes.begin() + static_cast<int64_t>(begin), graph.nodes.end());
  for (const Graph::Node& node : part.nodes) {
    for (const ValueId id : node.inputs) {
      const bool outside = !made.count(id) && !constant.count(id);
      if (read.insert(id).second && outside) part.inputs.push_back(id);
    }
    made.insert(node.outputs.begin(), node.outputs.end());
  }
  for (const ValueId id : made) {
    if (!read.count(id)) part.outputs.push_back(id);
  }
  return part;
}

/// Value and pullback of `graph` as one program, with respect to all floating inputs.
int64_t vjp_flops_of(const Graph& graph) {
  TensorList inputs;
  for (const TensorType& type : input_types(graph)) inputs.push_back(abstract(type));
  int64_t flops = 0;
  abstract_call(inputs, [&](const TensorList& lifted) {
    const RecordingMark mark = recording_mark();
    TensorList floating;
    for (const Tensor& input : lifted) {
      if (is_inexact(input.dtype())) floating.push_back(input);
    }
    ReverseCall call("vjp", floating, false);
    TensorList outputs, cotangents, out;
    call.run([&] {
      TensorList all = lifted;
      size_t next = 0;
      for (Tensor& input : all) {
        if (is_inexact(input.dtype())) input = call.traced()[next++];
      }
      for (const Tensor& output : run_graph(graph, all)) {
        if (is_inexact(output.dtype())) outputs.push_back(output);
      }
    });
    for (const Tensor& output : outputs) {
      out.push_back(call.primal(output));
      cotangents.push_back(out.back());
    }
    for (Tensor& cotangent : call.pullback(outputs, cotangents)) out.push_back(cotangent);
    flops = recorded_cost(mark, false).flops;
    return out;
  });
  return flops;
}

}  // namespace

RecordingMark recording_mark() {
  GraphTrace* recording = innermost_recording();
  return recording ? RecordingMark{recording, recording->graph().nodes.size()} : RecordingMark{};
}

RecordedCost recorded_cost(const RecordingMark& mark, bool vjp) {
  GraphTrace* recording = innermost_recording();
  if (!recording || recording != mark.recording) return {};
  const Graph part = part_from(recording->graph(), mark.nodes);
  if (part.nodes.empty()) return {};
  RecordedCost cost;
  cost.flops = flops_of(part);
  if (vjp) cost.vjp_flops = vjp_flops_of(part);
  return cost;
}

}  // namespace linnet::detail
