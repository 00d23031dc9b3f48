#include "core/passes/expand.h"

#include <algorithm>
#include <utility>

#include "core/graph/rewrite.h"
#include "core/trace/graph_trace.h"
#include "core/trace/operand_device.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

class Expander {
 public:
  using Decide = std::function<bool(const Graph::Node&, const TypeList&, const TypeList&)>;
  explicit Expander(const Decide& decide) : decide_(decide) {}

  Graph run(Graph graph) {
    if (std::none_of(graph.nodes.begin(), graph.nodes.end(), [&](const Graph::Node& node) {
          return decide_(node, operand_types(graph, node.inputs),
                         operand_types(graph, node.outputs));
        }))
      return graph;
    std::vector<ValueId> inputs;
    for (ValueId id : graph.inputs) {
      inputs.push_back(out_.add_value(graph.types[id]));
      out_.inputs.push_back(inputs.back());
    }
    out_.outputs = copy(graph, inputs);
    return std::move(out_);
  }

 private:
  /// Appends the nodes of `graph`, applied to `inputs`, and gives its results.
  std::vector<ValueId> copy(const Graph& graph, const std::vector<ValueId>& inputs) {
    std::vector<ValueId> map(graph.types.size(), -1);
    for (size_t i = 0; i < inputs.size(); ++i) map[graph.inputs[i]] = inputs[i];
    for (const auto& [id, value] : graph.constants) map[id] = constant(value);
    for (const Graph::Node& node : graph.nodes) {
      std::vector<ValueId> operands, results;
      for (ValueId id : node.inputs) operands.push_back(map[id]);
      results = place(node, operands, operand_types(graph, node.outputs));
      for (size_t k = 0; k < results.size(); ++k) map[node.outputs[k]] = results[k];
    }
    std::vector<ValueId> outputs;
    for (ValueId id : graph.outputs) outputs.push_back(map[id]);
    return outputs;
  }

  std::vector<ValueId> place(const Graph::Node& node, const std::vector<ValueId>& operands,
                             const TypeList& results) {
    const TypeList types = operand_types(out_, operands);
    if (decide_(node, types, results)) return expand(node, operands, types);
    Graph::Node kept{node.primitive, node.params, operands, {}, node.path};
    for (const TensorType& type : results) kept.outputs.push_back(out_.add_value(type));
    out_.nodes.push_back(std::move(kept));
    return out_.nodes.back().outputs;
  }

  std::vector<ValueId> expand(const Graph::Node& node, std::vector<ValueId> operands,
                              const TypeList& types) {
    TracedFunction traced = trace_to_graph(
        [&](Inputs x) {
          const OperandDevice here(x);
          return node.primitive->decompose(node.params, x);
        },
        types);
    for (const Tensor& captured : traced.captured) operands.push_back(constant(captured));
    name_nodes(traced.graph, node.path);
    return copy(traced.graph, operands);
  }

  /// Nodes of a decomposition belong to the module that emitted the whole, unless they bring a
  /// path.
  static void name_nodes(Graph& graph, const std::string& path) {
    const std::string& here = module_path();
    for (Graph::Node& node : graph.nodes) {
      if (node.path.starts_with(here)) node.path.erase(0, here.size());
      if (node.path.starts_with('/')) node.path.erase(0, 1);
      if (node.path.empty()) node.path = path;
    }
  }

  ValueId constant(const Tensor& value) {
    const ValueId id = out_.add_value(value.type());
    out_.constants.emplace_back(id, value);
    return id;
  }

  const Decide& decide_;
  Graph out_;
};

}  // namespace

Graph expand_nodes(
    Graph graph,
    const std::function<bool(const Graph::Node&, const TypeList&, const TypeList&)>& decide) {
  // What surrounds the compilation must not leak into the decompositions.
  const TraceScope isolated(nullptr);
  return Expander(decide).run(std::move(graph));
}

}  // namespace linnet
