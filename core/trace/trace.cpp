#include "linnet/trace.h"

#include <atomic>

#include "core/base/format.h"
#include "core/base/per_thread.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/eval.h"

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

void check_defined(const Primitive& primitive, Inputs inputs) {
  for (const Tensor& input : inputs) {
    if (!input.defined()) fail<ValueError>("{}: an operand is an undefined tensor", primitive.name);
  }
}

}  // namespace

TensorList emit(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  check_defined(primitive, inputs);
  if (current == nullptr) return evaluate(primitive, inputs, params);
  return current->process(primitive, inputs, params);
}
TensorList emit(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params) {
  return emit(primitive, Inputs(inputs.begin(), inputs.size()), params);
}
Tensor emit_one(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  check_defined(primitive, inputs);
  if (current == nullptr) return evaluate_one(primitive, inputs, params);
  return std::move(current->process(primitive, inputs, params)[0]);
}
Tensor emit_one(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params) {
  return emit_one(primitive, Inputs(inputs.begin(), inputs.size()), params);
}

}  // namespace linnet
