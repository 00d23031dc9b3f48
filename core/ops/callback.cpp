#include "core/ops/callback.h"

#include <algorithm>

#include "core/ops/creation.h"
#include "core/ops/families.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/rules.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

/// Results belong where the operands are.
TypeList callback_types(ParamsRef params, Inputs x) {
  const CallbackParams& p = params.as<CallbackParams>();
  TypeList types = p.callback->results;
  if (x.size() > size_t{p.token}) {
    for (TensorType& type : types) type.device = x[0].device();
  }
  if (p.token) types.push_back(kTokenType);
  return types;
}

/// A value of the host that may be kept: programs lend memory that they use again.
Tensor kept_on_host(const Tensor& x) {
  const Tensor here = transferred(x, Device{});
  const TensorImpl& impl = *here.impl();
  return impl.buffer && impl.buffer->external() ? dense_copy(here) : here;
}

void check_results(const HostCallback& callback, const TensorList& got) {
  if (got.size() != callback.results.size()) {
    fail<ValueError>("{}: the function gave {} tensors, {} were declared", callback.name,
                     got.size(), callback.results.size());
  }
  require_defined(got, callback.name, "a result of the function");
  for (size_t k = 0; k < got.size(); ++k) {
    require_concrete(got[k], callback.name);
    const TensorType& wanted = callback.results[k];
    if (got[k].shape() != wanted.shape) {
      fail<ShapeError>("{}: result {} was declared as {}, the function gave {}", callback.name, k,
                       to_string(wanted), to_string(got[k].type()));
    }
    if (got[k].dtype() != wanted.dtype) {
      fail<DTypeError>("{}: result {} was declared as {}, the function gave {}", callback.name, k,
                       to_string(wanted), to_string(got[k].type()));
    }
  }
}

TensorList run_callback(ParamsRef params, Inputs x) {
  const CallbackParams& p = params.as<CallbackParams>();
  TensorList operands, results;
  for (const Tensor& each : x.first(x.size() - size_t{p.token}))
    operands.push_back(kept_on_host(each));
  {
    const TraceScope eager(nullptr);
    const ScopedDevice host(kCpu);
    results = p.callback->function(operands);
  }
  check_results(*p.callback, results);
  const TypeList types = callback_types(params, x);
  for (size_t k = 0; k < results.size(); ++k)
    results[k] = with_weak(transferred(results[k], types[k].device), false);
  if (p.token) results.push_back(scalar(0, DType::kBool));
  return results;
}

/// One call per element.
TensorList one_by_one(const CallbackParams& p, const BatchedInputs& inputs) {
  std::vector<TensorList> columns(p.callback->results.size());
  for (int64_t i = 0; i < inputs.size; ++i) {
    TensorList operands;
    for (size_t k = 0; k < inputs.x.size(); ++k) {
      operands.push_back(inputs.batched[k] ? squeeze(slice_axis(inputs.x[k], i, i + 1, 0), Axes{0})
                                           : inputs.x[k]);
    }
    const TensorList results = emit_callback(p.callback, operands);
    for (size_t k = 0; k < results.size(); ++k) columns[k].push_back(results[k]);
  }
  TensorList out;
  for (const TensorList& column : columns) out.push_back(stack(column));
  return out;
}

TensorList all_at_once(const CallbackParams& p, const BatchedInputs& inputs) {
  HostCallback wider = *p.callback;
  for (TensorType& type : wider.results) type.shape.insert(0, inputs.size);
  TensorList operands;
  for (size_t k = 0; k < inputs.x.size(); ++k) {
    Tensor x = inputs.x[k];
    if (!inputs.batched[k]) {
      Shape shape = x.shape();
      shape.insert(0, 1);
      x = reshape(x, shape);
      shape[0] = inputs.size;
      if (wider.method == VmapMethod::kBroadcastAll) x = broadcast_to(x, shape);
    }
    operands.push_back(std::move(x));
  }
  return emit_callback(std::make_shared<const HostCallback>(std::move(wider)), operands);
}

TensorList batch_callback(ParamsRef params, const BatchedInputs& inputs) {
  const CallbackParams& p = params.as<CallbackParams>();
  if (p.callback->kind != detail::CallbackKind::kPure ||
      p.callback->method == VmapMethod::kSequential)
    return one_by_one(p, inputs);
  if (p.callback->method == VmapMethod::kNone) {
    fail<TraceError>(
        "pure_callback: vmap does not know how to call the function for a batch\n"
        "  hint: pure_callback(f, {{.vmap_method = VmapMethod::kSequential}}, …) calls it for each "
        "element, kExpandDims and kBroadcastAll once with a dimension in front");
  }
  return all_at_once(p, inputs);
}

[[noreturn]] void refuse_derivative(ParamsRef params) {
  fail<TraceError>(
      "{}: a function of the host has no derivative\n"
      "  hint: bring one with custom_vjp or custom_jvp, or use stop_gradient of the operands",
      params.as<CallbackParams>().callback->name);
}

const Primitive& define_callback(const char* name, DerivativeRule rule) {
  Primitive p;
  p.name = name;
  p.rule = std::move(rule);
  p.map = maps::Custom{batch_callback, nullptr};
  p.infer = callback_types;
  p.decompose = run_callback;
  return define_primitive(std::move(p));
}

DerivativeRule no_derivative() {
  return rules::Vjp{
      [](ParamsRef params, Inputs, Outputs, Inputs) -> TensorList { refuse_derivative(params); },
      [](ParamsRef params, Inputs, Outputs, Inputs) -> TensorList { refuse_derivative(params); }};
}

/// Whether `of` holds for the node or one of the programs that it holds.
bool is_or_holds(const Graph::Node& node, bool (*of)(const Primitive&)) {
  if (of(*node.primitive)) return true;
  const std::vector<const Graph*> held = subgraphs(node);
  return std::any_of(held.begin(), held.end(), [&](const Graph* body) {
    return std::any_of(body->nodes.begin(), body->nodes.end(),
                       [&](const Graph::Node& inner) { return is_or_holds(inner, of); });
  });
}
bool any_node(const Graph& graph, bool (*of)(const Primitive&)) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [&](const Graph::Node& node) { return is_or_holds(node, of); });
}

}  // namespace

const Primitive& debug_callback_primitive() {
  static const Primitive& p = define_callback("debug_callback", rules::Zero{});
  return p;
}
const Primitive& io_callback_primitive() {
  static const Primitive& p = define_callback("io_callback", no_derivative());
  return p;
}
const Primitive& pure_callback_primitive() {
  static const Primitive& p = define_callback("pure_callback", no_derivative());
  return p;
}

void define_callbacks() {
  debug_callback_primitive();
  io_callback_primitive();
  pure_callback_primitive();
}

bool has_effects(const Graph& graph) { return any_node(graph, is_effect); }
bool has_effects(const Graph::Node& node) { return is_or_holds(node, is_effect); }
bool calls_host(const Graph::Node& node) {
  return is_or_holds(
      node, [](const Primitive& p) { return is_effect(p) || &p == &pure_callback_primitive(); });
}
bool has_input_output(const Graph& graph) {
  return any_node(graph, [](const Primitive& p) { return &p == &io_callback_primitive(); });
}

TensorList emit_callback(const std::shared_ptr<const HostCallback>& callback, Inputs operands) {
  const Primitive* primitive = &pure_callback_primitive();
  if (callback->kind == detail::CallbackKind::kDebug) primitive = &debug_callback_primitive();
  if (callback->kind == detail::CallbackKind::kIo) primitive = &io_callback_primitive();
  return emit(*primitive, operands, CallbackParams{callback, false});
}

TensorList detail::host_callback(const char* name, CallbackKind kind, HostFunction f,
                                 TypeList results, const TensorList& operands, VmapMethod method) {
  require_defined(operands, name, "an argument");
  for (TensorType& type : results) type.weak = false;
  return emit_callback(std::make_shared<const HostCallback>(
                           HostCallback{name, kind, std::move(f), std::move(results), method}),
                       operands);
}

}  // namespace linnet
