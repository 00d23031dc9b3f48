#include "core/trace/eval.h"

#include <array>
#include <atomic>
#include <utility>

#include "core/memory/owners.h"
#include "core/ops/collectives.h"
#include "core/ops/creation.h"
#include "core/ops/placement.h"
#include "core/tensor/host_access.h"
#include "core/tensor/row_order.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/operand_device.h"
#include "linnet/back_end.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet {

namespace {

size_t dimensions_of(const TypeList& types) {
  size_t dimensions = 0;
  for (const TensorType& type : types) dimensions += type.shape.size();
  return dimensions;
}

}  // namespace

RequestStorage::RequestStorage(Inputs inputs, const TypeList& outputs, const BackEnd& back_end)
    : input_count_(inputs.size()),
      output_count_(outputs.size()),
      output_strides_(dimensions_of(outputs)),
      views_(inputs.size() + outputs.size()) {
  const size_t widest = back_end.widest_alignment();
  OperandView* view = views_.data();
  for (const Tensor& x : inputs) {
    const TensorImpl& impl = *x.impl();
    new (view++) OperandView{impl.dtype, impl.shape, impl.strides,
                             alignment_of(reinterpret_cast<uintptr_t>(impl.data), widest)};
  }
  int64_t* strides = output_strides_.data();
  for (const TensorType& y : outputs) {
    const std::span<int64_t> own(strides, y.shape.size());
    fill_dense_strides(y.shape, own);
    new (view++) OperandView{y.dtype, y.shape, own, widest};
    strides += own.size();
  }
}

void fail_no_kernel(const Primitive& primitive, ParamsRef params, Inputs inputs,
                    const std::string& declined) {
  std::string operands;
  for (const Tensor& x : inputs) operands += (operands.empty() ? "" : ", ") + to_string(x.type());
  if (collective_of(primitive)) {
    fail<UnknownAxisError>(
        "{}({}) {{{}}}: the axis is not bound where this is computed\n"
        "  hint: the rule of a custom derivative runs outside of a vmap whose elements its "
        "operands do "
        "not depend on",
        primitive.name, operands, params.text());
  }
  fail<DeviceError>("{}: no kernel takes ({}){}", primitive.name, operands,
                    declined.empty() ? std::string("; none is registered") : ":" + declined);
}

namespace {

/// Room for `count` pointers, on the stack for the usual few.
template <class T>
class Pointers {
 public:
  explicit Pointers(size_t count) {
    if (count > kMost) heap_.resize(count);
  }
  T* data() { return heap_.empty() ? fixed_.data() : heap_.data(); }

 private:
  static constexpr size_t kMost = 16;
  std::array<T, kMost> fixed_;
  std::vector<T> heap_;
};

bool all_dense(Inputs inputs) {
  for (const Tensor& x : inputs) {
    if (!dense(*x.impl())) return false;
  }
  return true;
}

void run_chosen(const ChosenKernel& chosen, const KernelRequest& request, Device device,
                Inputs inputs, std::span<const Tensor> outputs) {
  Pointers<const void*> in(inputs.size());
  Pointers<void*> out(outputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) in.data()[i] = inputs[i].impl()->data;
  for (size_t i = 0; i < outputs.size(); ++i) out.data()[i] = mutable_data(outputs[i]);
  const size_t bytes = chosen.workspace_bytes(request);
  const BufferHandle workspace(bytes ? Buffer::allocate(bytes, device) : nullptr);
  if (!chosen.prepared) {
    chosen.implementation->run(request, in.data(), out.data(),
                               workspace ? workspace->data() : nullptr);
    return;
  }
  back_end_of(device).run_eager(device, *chosen.prepared, {in.data(), inputs.size()},
                                {out.data(), outputs.size()},
                                workspace ? workspace->data() : nullptr);
}

/// As `run_chosen`, for an implementation that wants dense operands.
void run_on_dense(const ChosenKernel& chosen, const KernelRequest& request, Device device,
                  Inputs inputs, const TypeList& types, std::span<const Tensor> outputs) {
  TensorList copies;
  copies.reserve(inputs.size());
  for (const Tensor& x : inputs) copies.push_back(x.contiguous());
  const RequestStorage storage(copies, types, back_end_of(device));
  run_chosen(chosen, {request.primitive, request.params, storage.inputs(), storage.outputs()},
             device, copies, outputs);
}

void check_concrete(const Primitive& primitive, Inputs inputs) {
  for (const Tensor& input : inputs) {
    if (!input.impl()->concrete()) require_concrete(input, primitive.name.c_str());
  }
}

TensorList decomposed(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  const OperandDevice here(inputs);
  return primitive.decompose(params, inputs);
}

/// The first result, for which there is no list to allocate if it is the only one.
class OneResult {
 public:
  OneResult() = default;
  explicit OneResult(TensorList list) : tensor_(std::move(list[0])) {}
  void reserve(size_t) {}
  void push_back(Tensor tensor) { tensor_ = std::move(tensor); }
  operator std::span<const Tensor>() const { return {&tensor_, 1}; }
  Tensor take() { return std::move(tensor_); }

 private:
  Tensor tensor_;
};

/// Results is a TensorList or OneResult.
template <class Results>
Results evaluate_by_kernel(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  check_complex(primitive, inputs);
  if (primitive.control()) return Results(decomposed(primitive, inputs, params));
  if (primitive.distinct) return Results(TensorList(inputs.begin(), inputs.end()));  // a barrier
  if (&primitive == &device_put_primitive())
    return Results(TensorList{transferred(inputs[0], params.as<DevicePutParams>().device)});
  TypeList types;
  if (inputs.empty()) types = primitive.infer(params, inputs);
  const Device device = !inputs.empty()  ? inputs[0].impl()->device
                        : !types.empty() ? types[0].device
                                         : Device{};
  BackEnd& back_end = back_end_of(device);
  if (primitive.composite() && back_end.kernels().implementations(primitive).empty()) {
    return Results(decomposed(primitive, inputs, params));
  }
  if (!inputs.empty()) types = primitive.infer(params, inputs);
  if constexpr (std::is_same_v<Results, OneResult>) {
    if (types.size() > 1)
      return OneResult(evaluate_by_kernel<TensorList>(primitive, inputs, params));
  }
  const RequestStorage storage(inputs, types, back_end);
  const KernelRequest request{primitive, params, storage.inputs(), storage.outputs()};
  std::string declined;
  const BorrowedKernel chosen(request, device, back_end, declined);
  if (!chosen->implementation) {
    if (primitive.decompose) return Results(decomposed(primitive, inputs, params));
    fail_no_kernel(primitive, params, inputs, declined);
  }
  Results outputs;
  outputs.reserve(types.size());
  allocating_for = primitive.name.c_str();
  for (const TensorType& type : types) {
    outputs.push_back(make_uninitialized(type.dtype, type.shape, type.device, type.weak));
  }
  if (chosen->implementation->strided || all_dense(inputs)) {
    run_chosen(*chosen, request, device, inputs, outputs);
  } else {
    run_on_dense(*chosen, request, device, inputs, types, outputs);
  }
  return outputs;
}

/// Which elementwise primitives take which dtypes, as their typing rule has answered before: the
/// number of operands by primitive and dtype, 0 where it has not been asked.
class KnownTypings {
 public:
  bool knows(const Primitive& primitive, DType dtype, size_t operands) const {
    const size_t at = index(primitive, dtype);
    return at < kSize && arity_[at].load(std::memory_order_relaxed) == operands;
  }
  void learn(const Primitive& primitive, DType dtype, size_t operands) {
    const size_t at = index(primitive, dtype);
    if (at < kSize) arity_[at].store(static_cast<uint8_t>(operands), std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kDtypes = 16, kSize = 512 * kDtypes;
  static size_t index(const Primitive& primitive, DType dtype) {
    return static_cast<size_t>(primitive.id) * kDtypes + static_cast<size_t>(dtype);
  }
  std::array<std::atomic<uint8_t>, kSize> arity_{};
};
constinit KnownTypings known_typings;

constexpr size_t kMostOperands = 3;

inline bool lies_across(const Tensor& tensor) {
  const TensorImpl& x = *tensor.impl();
  if (x.strides.size() < 2 || (x.strides.back() <= 1 && x.shape.back() != 1)) return false;
  return x.device == Device{} && lies_across(size_of(x.dtype), x.shape, x.strides);
}

bool any_lies_across(Inputs inputs) {
  for (const Tensor& x : inputs) {
    if (lies_across(x)) return true;
  }
  return false;
}

/// A kernel that takes operands as they are and needs nothing but them.
bool simple(const KernelImplementation& kernel) {
  return kernel.strided && kernel.run && !kernel.decline && !kernel.workspace_bytes;
}

/// The kernel for the short way of most operations: an elementwise one without preparation, on
/// operands that are values, agree as the typing rule of elementwise primitives wants (shapes and,
/// but for a leading predicate, dtypes), and whose types have been found good before. Null if
/// anything is different; the general way then says what.
const KernelImplementation* quick_kernel(const Primitive& primitive, Inputs inputs) {
  if (!primitive.elementwise_typing || inputs.empty() || inputs.size() > kMostOperands)
    return nullptr;
  const TensorImpl& last = *inputs.back().impl();
  const size_t first = primitive.nondifferentiable & 1u;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorImpl& x = *inputs[i].impl();
    const bool last_one = i + 1 == inputs.size();
    if (!x.concrete() || lies_across(inputs[i])) return nullptr;
    if (!last_one && (x.dtype != (i < first ? DType::kBool : last.dtype) || x.shape != last.shape))
      return nullptr;
  }
  if (!known_typings.knows(primitive, last.dtype, inputs.size()) || log_enabled("kernels"))
    return nullptr;
  const std::span<const KernelImplementation> list =
      kernel_table(last.device).implementations(primitive);
  if (list.empty() || !simple(list[0]) || (!list[0].complex && is_complex(last.dtype)))
    return nullptr;
  return &list[0];
}

template <size_t N>
Tensor run_quickly(const KernelImplementation& kernel, const Primitive& primitive, Inputs inputs,
                   ParamsRef params) {
  bool weak = !primitive.all_boolean_result;
  const auto view_of = [&](size_t i) -> OperandView {
    const TensorImpl& x = *inputs[i].impl();
    weak = weak && (x.weak || i < (primitive.nondifferentiable & 1u));
    return {x.dtype, x.shape, x.strides};
  };
  const auto [operands, in] = [&]<size_t... i>(std::index_sequence<i...>) {
    return std::pair(std::array<OperandView, N>{view_of(i)...},
                     std::array<const void*, N>{inputs[i].impl()->data...});
  }(std::make_index_sequence<N>());
  const TensorImpl& last = *inputs[N - 1].impl();
  allocating_for = primitive.name.c_str();
  Tensor result = make_uninitialized(primitive.all_boolean_result ? DType::kBool : last.dtype,
                                     last.shape, last.device, weak);
  const TensorImpl& y = *result.impl();
  const OperandView output{y.dtype, y.shape, y.strides};
  void* out = y.data;
  kernel.run({primitive, params, operands, {&output, 1}}, in.data(), &out, nullptr);
  return result;
}

/// Another look at the operand, if that is the result; else undefined.
Tensor try_view(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  check_concrete(primitive, inputs);
  const TensorImpl& x = *inputs[0].impl();
  std::optional<TensorLayout> layout = primitive.view(params, {x.dtype, x.shape, x.strides});
  return layout ? make_view(inputs[0], *std::move(layout)) : Tensor();
}

/// As `evaluate_one`, on any way but the short ones.
[[gnu::noinline]] Tensor evaluate_one_generally(const Primitive& primitive, Inputs inputs,
                                                ParamsRef params) {
  check_concrete(primitive, inputs);
  if (primitive.elementwise_typing && &primitive != &copy_primitive() && any_lies_across(inputs)) {
    TensorList dense;
    for (const Tensor& x : inputs) dense.push_back(lies_across(x) ? x.contiguous() : x);
    return evaluate_one(primitive, dense, params);
  }
  OneResult result = evaluate_by_kernel<OneResult>(primitive, inputs, params);
  if (primitive.elementwise_typing)
    known_typings.learn(primitive, inputs.back().dtype(), inputs.size());
  return result.take();
}

}  // namespace

Tensor evaluate_one(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  if (primitive.view) {
    Tensor view = try_view(primitive, inputs, params);
    if (view.defined()) return view;
  } else if (const KernelImplementation* kernel = quick_kernel(primitive, inputs)) {
    switch (inputs.size()) {
      case 1:
        return run_quickly<1>(*kernel, primitive, inputs, params);
      case 2:
        return run_quickly<2>(*kernel, primitive, inputs, params);
      default:
        return run_quickly<3>(*kernel, primitive, inputs, params);
    }
  }
  return evaluate_one_generally(primitive, inputs, params);
}

TensorList evaluate(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  if (primitive.view || primitive.elementwise_typing) {
    TensorList results;
    results.push_back(evaluate_one(primitive, inputs, params));
    return results;
  }
  check_concrete(primitive, inputs);
  return evaluate_by_kernel<TensorList>(primitive, inputs, params);
}

}  // namespace linnet
