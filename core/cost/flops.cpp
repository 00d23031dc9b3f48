#include "core/cost/flops.h"

#include <algorithm>
#include <string_view>

#include "core/control/loops.h"
#include "core/ops/flops.h"
#include "core/ops/window.h"
#include "core/passes/expand.h"
#include "core/trace/graph_trace.h"
#include "linnet/count_flops.h"

namespace linnet {
namespace {

int64_t elements(const Graph& graph, ValueId id) { return element_count(graph.types[id].shape); }

/// Of a product or convolution; -1 for other nodes.
double contraction_flops(const Graph& graph, const Graph::Node& node) {
  const auto shape = [&](size_t i) -> const Shape& { return graph.types[node.inputs[i]].shape; };
  const Shape& out = graph.types[node.outputs[0]].shape;
  if (node.primitive == &dot_general_primitive())
    return dot_flops(node.params.as<DotParams>(), shape(0), out);
  if (node.primitive == &conv_primitive()) return conv_flops(out, shape(1));
  if (node.primitive == &conv_backward_data_primitive()) return conv_flops(shape(0), shape(1));
  if (node.primitive == &conv_backward_weights_primitive()) return conv_flops(shape(1), out);
  return -1;
}

/// Moves values or tells of them, and computes none.
bool is_free(std::string_view name) {
  constexpr std::string_view kFree[] = {"all_gather",
                                        "all_to_all",
                                        "argmax",
                                        "argmin",
                                        "argsort",
                                        "axis_index",
                                        "bitcast_convert_type",
                                        "broadcast_in_dim",
                                        "checkpoint_name",
                                        "concatenate",
                                        "convert_element_type",
                                        "copy",
                                        "device_put",
                                        "dynamic_slice",
                                        "dynamic_update_slice",
                                        "gather",
                                        "iota",
                                        "optimization_barrier",
                                        "pad",
                                        "ppermute",
                                        "reshape",
                                        "rev",
                                        "scatter",
                                        "select",
                                        "select_and_gather",
                                        "slice",
                                        "sort",
                                        "split",
                                        "stop_gradient",
                                        "transpose"};
  return name.rfind("random_", 0) == 0 ||
         std::find(std::begin(kFree), std::end(kFree), name) != std::end(kFree);
}

int64_t window_elements(const WindowParams& params, size_t rank) {
  int64_t product = 1;
  for (size_t i = 0; i < rank; ++i) product *= params.window[i];
  return product;
}

int64_t leaf_flops(const Graph& graph, const Graph::Node& node) {
  const double contraction = contraction_flops(graph, node);
  if (contraction >= 0) return static_cast<int64_t>(contraction);
  if (node.inputs.empty() || is_free(node.primitive->name)) return 0;
  // Of comparisons and of what selects by them, the operands tell.
  const bool floating = std::any_of(node.inputs.begin(), node.inputs.end(),
                                    [&](ValueId id) { return is_inexact(graph.types[id].dtype); });
  if (!floating) return 0;
  const int64_t out = elements(graph, node.outputs[0]);
  if (node.primitive->pointwise()) return out;
  const std::string_view name = node.primitive->name;
  if (name.rfind("reduce_window", 0) == 0) {
    const size_t rank = graph.types[node.inputs[0]].shape.size();
    return out * window_elements(node.params.as<WindowParams>(), rank);
  }
  // Reductions, cumulative sums, scattered sums, decompositions: an operation for each element
  // read.
  int64_t most = out;
  for (const ValueId id : node.inputs) most = std::max(most, elements(graph, id));
  return most;
}

int64_t node_flops(const Graph& graph, const Graph::Node& node) {
  const std::vector<const Graph*> programs = subgraphs(node);
  if (programs.empty()) return leaf_flops(graph, node);
  int64_t sum = 0, most = 0;
  for (const Graph* program : programs) {
    const int64_t flops = flops_of(*program);
    sum += flops;
    most = std::max(most, flops);
  }
  if (node.primitive == &cond_primitive()) return most;
  if (node.primitive == &scan_primitive()) return sum * node.params.as<ScanParams>().length;
  return sum;
}

}  // namespace

int64_t flops_of(const Graph& graph) {
  const Graph parts =
      expand_nodes(graph, [](const Graph::Node& node, const TypeList&, const TypeList&) {
        return node.primitive->composite();
      });
  int64_t sum = 0;
  for (const Graph::Node& node : parts.nodes) sum += node_flops(parts, node);
  return sum;
}

namespace detail {

int64_t count_flops_of(const TensorList& inputs,
                       const std::function<TensorList(const TensorList&)>& f) {
  int64_t flops = 0;
  abstract_call(inputs, [&](const TensorList& lifted) {
    const RecordingMark mark = recording_mark();
    TensorList out = f(lifted);
    flops = recorded_cost(mark, false).flops;
    return out;
  });
  return flops;
}

}  // namespace detail
}  // namespace linnet
