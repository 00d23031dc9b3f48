#include "core/graph/graph.h"

#include "core/base/format.h"

namespace linnet {

std::string to_string(const Graph& graph) {
  const auto name = [&](ValueId id) { return fmt::format("%{}:{}", id, to_string(graph.types[id])); };
  std::string out = "graph(";
  for (size_t i = 0; i < graph.inputs.size(); ++i) out += (i ? ", " : "") + name(graph.inputs[i]);
  out += ") {\n";
  for (const auto& [id, value] : graph.constants) {
    out += fmt::format("  {} = {}\n", name(id), value.size() == 1 ? to_string(value) : "constant");
  }
  for (const Graph::Node& node : graph.nodes) {
    out += "  ";
    for (size_t k = 0; k < node.outputs.size(); ++k) out += (k ? ", " : "") + name(node.outputs[k]);
    out += " = " + node.primitive->name + "(";
    for (size_t i = 0; i < node.inputs.size(); ++i) out += fmt::format("{}%{}", i ? ", " : "", node.inputs[i]);
    out += ")";
    const std::string params = node.params.ref().text();
    if (!params.empty()) out += " {" + params + "}";
    if (!node.path.empty()) out += "  @ " + node.path;
    out += '\n';
  }
  out += "  return ";
  for (size_t i = 0; i < graph.outputs.size(); ++i) out += fmt::format("{}%{}", i ? ", " : "", graph.outputs[i]);
  return out + "\n}\n";
}

void verify(const Graph& graph, const char* pass) {
  std::vector<uint8_t> defined(graph.types.size(), 0);
  const auto define_value = [&](ValueId id) {
    if (id < 0 || static_cast<size_t>(id) >= defined.size() || defined[id]) {
      fail<TraceError>("verify after {}: value %{} is defined twice or does not exist", pass, id);
    }
    defined[id] = 1;
  };
  const auto use_value = [&](ValueId id, const char* by) {
    if (id < 0 || static_cast<size_t>(id) >= defined.size() || !defined[id]) {
      fail<TraceError>("verify after {}: {} uses %{} before it is defined", pass, by, id);
    }
  };
  for (ValueId id : graph.inputs) define_value(id);
  for (const auto& [id, value] : graph.constants) {
    define_value(id);
    if (value.dtype() != graph.types[id].dtype || value.shape() != graph.types[id].shape) {
      fail<TraceError>("verify after {}: constant %{} is {} but declared {}", pass, id, to_string(value.type()),
                       to_string(graph.types[id]));
    }
  }
  for (const Graph::Node& node : graph.nodes) {
    TensorList operands;
    for (ValueId id : node.inputs) {
      use_value(id, node.primitive->name.c_str());
      operands.push_back(abstract(graph.types[id]));
    }
    const TypeList types = node.primitive->infer(node.params, operands);
    if (types.size() != node.outputs.size()) {
      fail<TraceError>("verify after {}: {} has {} results, expected {}", pass, node.primitive->name,
                       node.outputs.size(), types.size());
    }
    for (size_t k = 0; k < types.size(); ++k) {
      const TensorType& declared = graph.types[node.outputs[k]];
      if (declared.dtype != types[k].dtype || declared.shape != types[k].shape) {
        fail<TraceError>("verify after {}: {} gives {} but is declared {}", pass, node.primitive->name,
                         to_string(types[k]), to_string(declared));
      }
      define_value(node.outputs[k]);
    }
  }
  for (ValueId id : graph.outputs) use_value(id, "return");
}

TensorList run_graph(const Graph& graph, Inputs inputs) {
  std::vector<Tensor> values(graph.types.size());
  std::vector<int> uses(graph.types.size(), 0);
  for (const Graph::Node& node : graph.nodes) {
    for (ValueId id : node.inputs) ++uses[id];
  }
  for (ValueId id : graph.outputs) ++uses[id];
  for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs[i]] = inputs[i];
  for (const auto& [id, value] : graph.constants) values[id] = value;
  for (const Graph::Node& node : graph.nodes) {
    TensorList operands;
    operands.reserve(node.inputs.size());
    for (ValueId id : node.inputs) operands.push_back(values[id]);
    for (ValueId id : node.inputs) {
      if (--uses[id] == 0) values[id] = Tensor();
    }
    const ModulePathScope path(node.path);
    TensorList results = emit(*node.primitive, operands, node.params);
    for (size_t k = 0; k < results.size(); ++k) values[node.outputs[k]] = std::move(results[k]);
  }
  TensorList out;
  for (ValueId id : graph.outputs) out.push_back(values[id]);
  return out;
}

}  // namespace linnet
