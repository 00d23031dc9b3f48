#include "core/trace/graph_trace.h"

#include "core/tensor/tensor_impl.h"
#include "core/trace/call.h"
#include "core/trace/operand_device.h"
#include "linnet/detail/format.h"

namespace linnet {

Tensor GraphTrace::input(const TensorType& type) {
  const ValueId id = graph_.add_value(type);
  graph_.inputs.push_back(id);
  return make_traced(*this, type, std::make_unique<GraphTracer>(id));
}

ValueId GraphTrace::id_of(const Tensor& tensor) {
  if (owns(tensor)) return static_cast<GraphTracer&>(tracer_of(tensor)).id;
  auto [found, fresh] = outside_.try_emplace(tensor.impl(), 0);
  if (!fresh) return found->second;
  const TensorImpl& impl = *tensor.impl();
  if (!impl.concrete()) {
    const Trace* owner = parent();
    while (owner && owner->serial() != impl.serial) owner = owner->parent();
    if (!owner) {
      outside_.erase(found);
      require_concrete(tensor, "jit");
    }
  }
  kept_.push_back(tensor);
  const ValueId id = graph_.add_value(tensor.type());
  found->second = id;
  if (impl.concrete() && (impl.shape.empty() || policy_ == Outside::kEmbed)) {
    graph_.constants.emplace_back(id, tensor);
  } else {
    captures_.push_back({tensor, graph_.inputs.size()});
    graph_.inputs.push_back(id);
  }
  return id;
}

bool GraphTrace::captures_traced() const {
  for (const Capture& capture : captures_) {
    if (capture.outer.traced()) return true;
  }
  return false;
}

TensorList GraphTrace::process(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  if (&primitive == &call_primitive()) {
    TraceScope scope(this);
    return run_graph(called_graph(params), inputs);
  }
  check_complex(primitive, inputs);
  Graph::Node node;
  node.primitive = &primitive;
  TypeList types;
  {
    // Inference may look at types only; composites infer by abstract evaluation of their own.
    types = primitive.infer(params, inputs);
  }
  for (const Tensor& input : inputs) node.inputs.push_back(id_of(input));
  node.params = Params(params);
  node.path = module_path();
  TensorList out;
  out.reserve(types.size());
  for (TensorType& type : types) {
    const ValueId id = graph_.add_value(type);
    node.outputs.push_back(id);
    out.push_back(make_traced(*this, type, std::make_unique<GraphTracer>(id)));
  }
  graph_.nodes.push_back(std::move(node));
  return out;
}

Graph GraphTrace::finish(Inputs outputs) {
  for (const Tensor& output : outputs) graph_.outputs.push_back(id_of(output));
  return std::move(graph_);
}

TracedFunction trace_to_graph(const std::function<TensorList(Inputs)>& f, const TypeList& types) {
  GraphTrace trace;
  TensorList inputs, outputs;
  for (const TensorType& type : types) inputs.push_back(trace.input(type));
  {
    TraceScope scope(&trace);
    outputs = f(inputs);
  }
  TracedFunction out;
  out.graph = trace.finish(outputs);
  for (const GraphTrace::Capture& capture : trace.captures()) out.captured.push_back(capture.outer);
  out.captures_traced = trace.captures_traced();
  return out;
}

TypeList infer_by_tracing(const Primitive& primitive, ParamsRef params, Inputs x) {
  TypeList types;
  for (const Tensor& input : x) types.push_back(input.type());
  const TracedFunction traced = trace_to_graph(
      [&](Inputs inputs) {
        const OperandDevice here(inputs);
        return primitive.decompose(params, inputs);
      },
      types);
  TypeList out;
  for (ValueId id : traced.graph.outputs) out.push_back(traced.graph.types[id]);
  return out;
}

}  // namespace linnet
