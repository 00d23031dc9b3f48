#include "core/passes/fuse_reductions.h"

#include <algorithm>

#include "core/graph/fused_elementwise.h"
#include "core/graph/rewrite.h"
#include "core/ops/reduce.h"
#include "core/passes/cluster_builder.h"
#include "core/passes/clusters.h"
#include "core/passes/passes.h"

namespace linnet {
namespace {

bool is_reduction(const Primitive* primitive) {
  return primitive == &reduce_sum_primitive() || primitive == &reduce_max_primitive() ||
         primitive == &reduce_min_primitive() || primitive == &reduce_prod_primitive() ||
         primitive == &reduce_and_primitive() || primitive == &reduce_or_primitive();
}

class ReductionPass {
 public:
  explicit ReductionPass(Graph& graph)
      : graph_(graph),
        numbers_(graph),
        made_(producers(graph)),
        uses_(use_counts(graph)),
        read_outside_(graph.types.size(), 1),
        gone_(graph.nodes.size(), 0) {}

  void run() {
    for (size_t r = 0; r < graph_.nodes.size(); ++r) {
      if (is_reduction(graph_.nodes[r].primitive)) join(r);
    }
    std::vector<Graph::Node> kept;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!gone_[n]) kept.push_back(std::move(graph_.nodes[n]));
    }
    graph_.nodes = std::move(kept);
  }

 private:
  /// All that reads the reduction comes later than it, and so later than the cluster, in whose
  /// place both stand then.
  void join(size_t r) {
    const Graph::Node& reduction = graph_.nodes[r];
    const ValueId operand = reduction.inputs[0];
    const int32_t p = made_[operand];
    if (p < 0 || reduction.params.as<ReduceParams>().axes.empty()) return;
    // Elsewhere a kernel of the host would take the two from those of the device.
    if (!graph_.types[operand].device.host()) return;
    const Graph::Node* const producer = &graph_.nodes[p];
    Graph::Node cluster;
    if (producer->primitive == &fused_elementwise_primitive())
      cluster = *producer;
    else if (is_fusable(graph_, *producer))
      cluster = ClusterBuilder(graph_, numbers_, read_outside_).run({p});
    else
      return;
    Graph::Node joined = with_reduction(cluster, reduction);
    if (!has_kernel(*joined.primitive, joined.params, operand_types(graph_, joined.inputs),
                    operand_types(graph_, joined.outputs)))
      return;
    graph_.nodes[p] = std::move(joined);
    gone_[r] = 1;
  }

  Graph::Node with_reduction(const Graph::Node& cluster, const Graph::Node& reduction) const {
    Graph body = *cluster.params.as<FusedElementwiseParams>().body;
    Graph::Node out = cluster;
    out.primitive = &fused_reduction_primitive();
    const ValueId operand = reduction.inputs[0];
    const auto at = std::find(cluster.outputs.begin(), cluster.outputs.end(), operand) -
                    cluster.outputs.begin();
    const ValueId inside = body.outputs[static_cast<size_t>(at)];
    if (uses_[operand] == 1) {
      out.outputs.erase(out.outputs.begin() + at);
      body.outputs.erase(body.outputs.begin() + at);
    }
    const ValueId result = body.add_value(graph_.types[reduction.outputs[0]]);
    body.nodes.push_back({reduction.primitive, reduction.params, {inside}, {result}, {}});
    body.outputs.push_back(result);
    out.outputs.push_back(reduction.outputs[0]);
    out.params = Params(FusedReductionParams{std::make_shared<const Graph>(std::move(body))});
    return out;
  }

  Graph& graph_;
  const EmbeddedNumbers numbers_;
  const std::vector<int32_t> made_, uses_;
  const std::vector<uint8_t> read_outside_;
  std::vector<uint8_t> gone_;
};

}  // namespace

void fuse_reductions(Graph& graph) { ReductionPass(graph).run(); }

}  // namespace linnet
