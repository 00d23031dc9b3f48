#include "core/graph/graph.h"

#include <map>
#include <mutex>

#include "linnet/detail/format.h"

namespace linnet {

TypeList input_types(const Graph& graph) {
  TypeList types;
  for (ValueId id : graph.inputs) types.push_back(graph.types[id]);
  return types;
}

TypeList result_types(const Graph& graph) {
  TypeList types;
  for (ValueId id : graph.outputs) types.push_back(graph.types[id]);
  return types;
}

namespace {

struct HeldTable {
  std::mutex mutex;
  std::map<const Primitive*, HeldGraphs> held;
};
HeldTable& held_table() {
  static HeldTable* table = new HeldTable;  // never destroyed, like the primitives
  return *table;
}

}  // namespace

const Primitive& with_subgraphs(const Primitive& primitive, HeldGraphs held) {
  std::lock_guard lock(held_table().mutex);
  held_table().held[&primitive] = held;
  return primitive;
}

std::vector<const Graph*> subgraphs(const Primitive& primitive, ParamsRef params) {
  std::lock_guard lock(held_table().mutex);
  const auto found = held_table().held.find(&primitive);
  return found == held_table().held.end() ? std::vector<const Graph*>{} : found->second(params);
}

namespace {

std::string value_text(const Graph& graph, ValueId id) {
  return fmt::format("%{}:{}", id, to_string(graph.types[id]));
}

std::string ids_text(const std::vector<ValueId>& ids) {
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) out += fmt::format("{}%{}", i ? ", " : "", ids[i]);
  return out;
}

void append_body(std::string& out, const Graph& graph, const std::string& indent);

void append_node(std::string& out, const Graph& graph, const Graph::Node& node,
                 const std::string& indent) {
  out += indent;
  for (size_t k = 0; k < node.outputs.size(); ++k)
    out += (k ? ", " : "") + value_text(graph, node.outputs[k]);
  out += fmt::format(" = {}({})", node.primitive->name, ids_text(node.inputs));
  const std::vector<const Graph*> held = subgraphs(node);
  for (const Graph* graph_held : held) {
    out += fmt::format(" as ({}) {{\n", ids_text(graph_held->inputs));
    append_body(out, *graph_held, indent + "  ");
    out += indent + "}";
  }
  if (const std::string params = node.params.ref().text(); held.empty() && !params.empty())
    out += " {" + params + "}";
  if (!node.path.empty()) out += "  @ " + node.path;
  out += '\n';
}

void append_body(std::string& out, const Graph& graph, const std::string& indent) {
  for (const auto& [id, value] : graph.constants) {
    const std::string shown = value.size() == 1 ? to_string(value) : "constant";
    out += fmt::format("{}{} = {}\n", indent, value_text(graph, id), shown);
  }
  for (const Graph::Node& node : graph.nodes) append_node(out, graph, node, indent);
  out += fmt::format("{}return {}\n", indent, ids_text(graph.outputs));
}

}  // namespace

std::string to_string(const Graph& graph) {
  std::string out = "graph(";
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    out += (i ? ", " : "") + value_text(graph, graph.inputs[i]);
  out += ") {\n";
  append_body(out, graph, "  ");
  return out + "}\n";
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
      fail<TraceError>("verify after {}: constant %{} is {} but declared {}", pass, id,
                       to_string(value.type()), to_string(graph.types[id]));
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
      fail<TraceError>("verify after {}: {} has {} results, expected {}", pass,
                       node.primitive->name, node.outputs.size(), types.size());
    }
    for (size_t k = 0; k < types.size(); ++k) {
      const TensorType& declared = graph.types[node.outputs[k]];
      if (declared.dtype != types[k].dtype || declared.shape != types[k].shape) {
        fail<TraceError>("verify after {}: {} gives {} but is declared {}", pass,
                         node.primitive->name, to_string(types[k]), to_string(declared));
      }
      define_value(node.outputs[k]);
    }
    for (const Graph* held : subgraphs(node)) verify(*held, pass);
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
