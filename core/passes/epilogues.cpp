// Products and convolutions with what follows them.
#include <array>

#include "core/graph/rewrite.h"
#include "core/ops/arithmetic.h"
#include "core/ops/fused.h"
#include "core/ops/shape_ops.h"
#include "core/passes/passes.h"

namespace linnet {
namespace {

Activation activation_of(const Primitive& primitive) {
  for (const EpilogueActivation& entry : epilogue_activations()) {
    if (&primitive == &entry.primitive()) return entry.op;
  }
  return {};
}

/// How far a chain goes: the product, then up to three nodes that absorb its result.
struct Chain {
  int32_t root = -1;
  int32_t last = -1;
  ValueId bias = -1, residual = -1;
  Activation activation = {};
};

class EpiloguePass {
 public:
  explicit EpiloguePass(Graph& graph)
      : graph_(graph), uses_(use_counts(graph)), producers_(producers(graph)), consumers_(graph) {}

  void run() {
    std::vector<uint8_t> absorbed(graph_.nodes.size(), 0);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Primitive* p = graph_.nodes[n].primitive;
      if (absorbed[n] || (p != &dot_general_primitive() && p != &conv_primitive())) continue;
      if (!is_floating(type_of(static_cast<int32_t>(n)).dtype)) continue;
      // The longest chain that a kernel takes.
      std::vector<Chain> chains = find_chains(static_cast<int32_t>(n));
      while (!chains.empty() && !fuse(chains.back(), absorbed)) chains.pop_back();
    }
    std::vector<Graph::Node> kept;
    for (size_t n = 0; n < absorbed.size(); ++n) {
      if (!absorbed[n]) kept.push_back(std::move(graph_.nodes[n]));
    }
    graph_.nodes = std::move(kept);
  }

 private:
  const TensorType& type_of(int32_t node) const {
    return graph_.types[graph_.nodes[node].outputs[0]];
  }

  /// The only reader of a node's result; -1 if there are others or the program returns it.
  int32_t only_reader(int32_t node) const {
    const ValueId id = graph_.nodes[node].outputs[0];
    return uses_[id] == 1 && consumers_[id].size() == 1 ? consumers_[id][0] : -1;
  }

  bool same_type(int32_t node, const TensorType& type) const {
    return type_of(node).dtype == type.dtype && type_of(node).shape == type.shape;
  }

  /// The other operand of an addition.
  ValueId addend(int32_t node, ValueId result) const {
    const Graph::Node& add = graph_.nodes[node];
    return add.inputs[0] == result ? add.inputs[1] : add.inputs[0];
  }

  /// The vector that `id` repeats along the axes in front of the last `rank`, or -1.
  ValueId bias_of(ValueId id, size_t rank) const {
    const int32_t made = producers_[id];
    if (made < 0 || graph_.nodes[made].primitive != &broadcast_in_dim_primitive()) return -1;
    const auto& params = graph_.nodes[made].params.as<BroadcastInDimParams>();
    const ValueId source = graph_.nodes[made].inputs[0];
    const Shape trailing(params.shape.end() - static_cast<int64_t>(rank), params.shape.end());
    if (graph_.types[source].shape != trailing) return -1;
    for (size_t i = 0; i < rank; ++i) {
      if (params.dimensions[i] != static_cast<int64_t>(params.shape.size() - rank + i)) return -1;
    }
    return source;
  }

  /// Dimensions of the result that a bias has.
  size_t bias_rank(const Graph::Node& root) const {
    if (root.primitive == &conv_primitive()) return 1;
    const auto& p = root.params.as<DotParams>();
    return graph_.types[root.inputs[1]].shape.size() - p.rhs_contract.size() - p.rhs_batch.size();
  }

  std::vector<Chain> find_chains(int32_t root) const {
    const TensorType type = type_of(root);
    std::vector<Chain> chains;
    Chain chain{.root = root, .last = root};
    const auto next_of = [&](const Primitive* wanted) {
      const int32_t next = only_reader(chain.last);
      if (next < 0 || (wanted && graph_.nodes[next].primitive != wanted) || !same_type(next, type))
        return -1;
      return next;
    };
    const auto extend = [&](int32_t to) {
      chain.last = to;
      chains.push_back(chain);
    };
    if (const int32_t next = next_of(&add_primitive()); next >= 0) {
      const size_t rank = bias_rank(graph_.nodes[root]);
      chain.bias = rank == 0 ? -1 : bias_of(addend(next, graph_.nodes[root].outputs[0]), rank);
      if (chain.bias >= 0) extend(next);
    }
    if (const int32_t next = next_of(nullptr); next >= 0) {
      if (const Activation activation = activation_of(*graph_.nodes[next].primitive)) {
        chain.activation = activation;
        extend(next);
      }
    }
    if (const int32_t next = next_of(&add_primitive()); next >= 0) {
      const ValueId residual = addend(next, graph_.nodes[chain.last].outputs[0]);
      // Something repeated is cheaper to add where it is read; x + x has no other operand.
      const bool repeated =
          producers_[residual] >= 0 &&
          graph_.nodes[producers_[residual]].primitive == &broadcast_in_dim_primitive();
      if (!repeated && residual != graph_.nodes[chain.last].outputs[0]) {
        chain.residual = residual;
        extend(next);
      }
    }
    return chains;
  }

  Graph::Node fused_node(const Chain& chain) const {
    const Graph::Node& root = graph_.nodes[chain.root];
    const Graph::Node& last = graph_.nodes[chain.last];
    Graph::Node node{nullptr, {}, root.inputs, last.outputs, root.path};
    if (chain.bias >= 0) node.inputs.push_back(chain.bias);
    if (chain.residual >= 0) node.inputs.push_back(chain.residual);
    if (root.primitive == &conv_primitive()) {
      node.primitive = &conv_bias_activation_primitive();
      node.params = Params(ConvBiasActivationParams{root.params.as<ConvParams>(), chain.bias >= 0,
                                                    chain.residual >= 0, chain.activation});
    } else {
      node.primitive = &linear_bias_activation_primitive();
      node.params = Params(LinearBiasActivationParams{root.params.as<DotParams>(), chain.bias >= 0,
                                                      chain.residual >= 0, chain.activation});
    }
    return node;
  }

  /// Puts the fused node where the chain ends, since the bias or the residual may be made in
  /// between.
  bool fuse(const Chain& chain, std::vector<uint8_t>& absorbed) {
    Graph::Node node = fused_node(chain);
    if (!has_kernel(*node.primitive, node.params, operand_types(graph_, node.inputs),
                    operand_types(graph_, node.outputs))) {
      return false;
    }
    for (int32_t n = chain.root; n != chain.last; n = only_reader(n)) absorbed[n] = 1;
    graph_.nodes[chain.last] = std::move(node);
    return true;
  }

  Graph& graph_;
  std::vector<int32_t> uses_, producers_;
  Consumers consumers_;
};

}  // namespace

void fuse_epilogues(Graph& graph) { EpiloguePass(graph).run(); }

}  // namespace linnet
