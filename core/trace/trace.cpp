#include "linnet/trace.h"

#include <atomic>

#include "core/base/per_thread.h"
#include "core/base/watch.h"
#include "core/debug/nans.h"
#include "core/profile/events.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/eval.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

thread_local Trace* current = nullptr;
std::atomic<uint64_t> next_serial{1};

}  // namespace

Trace* current_trace() { return current; }

Trace::Trace() : parent_(current), serial_(next_serial.fetch_add(1, std::memory_order_relaxed)) {}

bool Trace::owns(const Tensor& tensor) const {
  return tensor.defined() && tensor.impl()->serial == serial_;
}

TraceScope::TraceScope(Trace* trace) : previous_(current) { current = trace; }
TraceScope::~TraceScope() { current = previous_; }

namespace {
struct ModulePath {
  std::string text;
};
}  // namespace

ModulePathScope::ModulePathScope(std::string_view name) : previous_size_(module_path().size()) {
  ModulePath* const path = per_thread<ModulePath>();
  if (name.empty() || !path) return;
  if (!path->text.empty()) path->text += '/';
  path->text += name;
}
ModulePathScope::~ModulePathScope() {
  if (ModulePath* const path = per_thread<ModulePath>()) path->text.resize(previous_size_);
}
const std::string& module_path() {
  static const std::string* none = new std::string;
  const ModulePath* const path = per_thread<ModulePath>();
  return path ? path->text : *none;
}

namespace {

/// Whether an operand may meet those of another device: it is one number of the host.
bool goes_anywhere(const Tensor& operand) {
  return operand.impl()->device.host() && operand.impl()->shape.empty();
}

/// The operands on the one device they belong to.
/// @throws DeviceError naming both if they are on two.
TensorList on_one_device(const Primitive& primitive, Inputs inputs) {
  const Tensor* first = nullptr;
  for (const Tensor& input : inputs) {
    if (goes_anywhere(input)) continue;
    if (first && first->device() != input.device()) {
      fail<DeviceError>(
          "{}: operands are on different devices: {} on {} and {} on {}\n"
          "  hint: x.to(device) moves a tensor",
          primitive.name, to_string(first->type()), to_string(first->device()),
          to_string(input.type()), to_string(input.device()));
    }
    if (!first) first = &input;
  }
  TensorList out;
  out.reserve(inputs.size());
  for (const Tensor& input : inputs) out.push_back(input.to(first->device()));
  return out;
}

[[noreturn, gnu::cold]] void fail_undefined(const Primitive& primitive) {
  fail<ValueError>("{}: an operand is an undefined tensor", primitive.name);
}

/// Whether all operands are defined and, unless the primitive is about its parts or hands on each
/// operand where it is, on one device.
/// @throws ValueError if one is undefined.
bool check_operands(const Primitive& primitive, Inputs inputs) {
  const TensorImpl* first = inputs.empty() ? nullptr : inputs[0].impl();
  bool same = true;
  for (const Tensor& input : inputs) {
    const TensorImpl* impl = input.impl();
    if (!impl) fail_undefined(primitive);
    same &= impl->device == first->device;
  }
  return same || primitive.control() || primitive.distinct;
}

/// With an event in the trace and a look for NaN, if somebody wants either.
TensorList evaluate_watched(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  TensorList results;
  {
    const profile::Event event("eager", [&] {
      return profile::Facts{
          .name = primitive.name, .path = module_path(), .types = types_text(inputs)};
    });
    results = evaluate(primitive, inputs, params);
    if (profile::tracing() && !results.empty()) synchronize(results[0].device());
  }
  check_for_nans(primitive, inputs, results);
  return results;
}

}  // namespace

TensorList emit(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  if (!check_operands(primitive, inputs))
    return emit(primitive, on_one_device(primitive, inputs), params);
  if (current == nullptr) {
    if (watched()) [[unlikely]]
      return evaluate_watched(primitive, inputs, params);
    return evaluate(primitive, inputs, params);
  }
  return current->process(primitive, inputs, params);
}
TensorList emit(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params) {
  return emit(primitive, Inputs(inputs.begin(), inputs.size()), params);
}
namespace {

[[gnu::noinline]] Tensor emit_one_across(const Primitive& primitive, Inputs inputs,
                                         ParamsRef params) {
  return emit_one(primitive, on_one_device(primitive, inputs), params);
}

[[gnu::noinline]] Tensor first_of_processed(const Primitive& primitive, Inputs inputs,
                                            ParamsRef params) {
  if (current != nullptr) return std::move(current->process(primitive, inputs, params)[0]);
  return std::move(evaluate_watched(primitive, inputs, params)[0]);
}

}  // namespace

// What an eager operation does not need is in functions of its own: this one has no frame then.
Tensor emit_one(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  if (!check_operands(primitive, inputs)) [[unlikely]]
    return emit_one_across(primitive, inputs, params);
  if (current == nullptr && !watched()) return evaluate_one(primitive, inputs, params);
  return first_of_processed(primitive, inputs, params);
}
Tensor emit_one(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params) {
  return emit_one(primitive, Inputs(inputs.begin(), inputs.size()), params);
}

}  // namespace linnet
