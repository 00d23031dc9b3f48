// Primitives: the operations that transformations know. One description gives typing, derivatives
// in both directions and batching; kernels are found by the device's implementation lists.
//
//   const Primitive& square_primitive() {
//     static const Primitive& p = define(Elementwise<NoParams>{
//         .name = "square", .arity = 1,
//         .partials = [](const NoParams&, Inputs x, Outputs) { return TensorList{2 * x[0]}; }});
//     return p;
//   }
//   Tensor square(const Tensor& x) { return emit_one(square_primitive(), {x}); }
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/params.h"
#include "linnet/tensor.h"

namespace linnet {

using Inputs = std::span<const Tensor>;
using Outputs = std::span<const Tensor>;
using TypeList = std::vector<TensorType>;

/// What is declared about a primitive, and hence how its derivatives come about.
enum class Kind : uint8_t {
  kElementwise,  ///< partial derivatives given; jvp, vjp, batching and fusion derived
  kLinearMap,    ///< transpose given; jvp is the primitive itself
  kBilinear,     ///< transpose in each argument given
  kSmooth,       ///< vjp given, jvp optional (else derived by transposing the vjp)
  kComposite,    ///< decomposition given; stays whole until a back end accepts or declines it
  kControl,      ///< holds sub-graphs; rules transform the bodies
  kOpaque        ///< derivative is zero by definition, or an error that names the primitive
};
std::string_view name_of(Kind kind);

/// Operands of a batching rule: those marked batched carry the batch dimension, of size `size`, in
/// front.
struct BatchedInputs {
  Inputs x;
  std::span<const uint8_t> batched;
  int64_t size;
};

class VjpTrace;
class JvpTrace;
class BatchTrace;

/// Rules of control primitives, which see the trace itself. Unset ones are errors.
struct ControlRules {
  std::function<TensorList(JvpTrace&, const Params&, Inputs)> jvp;
  std::function<TensorList(VjpTrace&, const Params&, Inputs)> vjp;
  std::function<TensorList(BatchTrace&, const Params&, Inputs)> batch;
};

/// The description all transformations read. Made by `define`, lives for ever.
struct Primitive {
  std::string name;
  Kind kind = Kind::kOpaque;
  int id = -1;

  std::function<TypeList(ParamsRef, Inputs)> infer;
  /// d out / d x[i], elementwise; undefined tensors for operands without derivative.
  std::function<TensorList(ParamsRef, Inputs, Outputs)> partials;
  /// Cotangents of the inputs of a linear map; operands not in `nondifferentiable` are given as
  /// types only.
  std::function<TensorList(ParamsRef, Inputs, const Tensor& ct)> transpose;
  /// Cotangent of operand `which` of a bilinear primitive; that operand is given as a type only.
  std::function<Tensor(ParamsRef, int which, Inputs, const Tensor& ct)> transpose_in;
  /// Cotangents of all inputs from those of all outputs (undefined tensors mean zero).
  std::function<TensorList(ParamsRef, Inputs, Outputs, Inputs cts)> vjp;
  /// Tangents of the outputs; undefined input tangents mean zero.
  std::function<TensorList(ParamsRef, Inputs, Outputs, Inputs tangents)> jvp;
  std::function<TensorList(ParamsRef, Inputs)> decompose;
  std::function<TensorList(ParamsRef, const BatchedInputs&)> batch;
  /// A strided view of the operand, where one exists (undefined tensor: make a copy with a kernel).
  std::function<Tensor(ParamsRef, const Tensor&)> view;
  ControlRules control;

  uint32_t nondifferentiable = 0;  ///< bit i: operand i has no derivative (indices, predicates)
  uint32_t saves_inputs = ~uint32_t{0};   ///< bit i: the derivative rule reads input i
  uint32_t saves_outputs = ~uint32_t{0};  ///< bit i: the derivative rule reads output i
  bool zero_derivative = false;           ///< outputs do not depend differentiably on any input
  bool linear = false;                    ///< elementwise: the tangent map is the primitive itself
  bool all_boolean_result = false;  ///< elementwise: the result is bool whatever the operands are
};

/// Bit mask of operand or result indices.
constexpr uint32_t bits_of(std::initializer_list<int> indices) {
  uint32_t mask = 0;
  for (int index : indices) mask |= uint32_t{1} << index;
  return mask;
}
inline constexpr uint32_t kAllBits = ~uint32_t{0};

/// Element types an elementwise primitive takes for its value operands.
enum class Accepts : uint8_t { kAny, kNumeric, kFloating, kInteger, kIntegerOrBool };

template <class P>
struct Elementwise {
  const char* name;
  int arity;
  TensorList (*partials)(const P&, Inputs, Outputs) = nullptr;
  /// Optional fused reverse rule; must agree with `partials`.
  TensorList (*vjp)(const P&, Inputs, Outputs, const Tensor& ct) = nullptr;
  Accepts accepts = Accepts::kFloating;
  bool boolean_result = false;
  bool predicate_first = false;  ///< operand 0 is bool and not differentiable
  bool linear =
      false;  ///< in all differentiable operands together; `vjp` is given instead of `partials`
  bool zero_derivative = false;
  uint32_t saves_inputs = kAllBits;
  uint32_t saves_outputs = kAllBits;
};

template <class P>
struct LinearMap {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  TensorList (*transpose)(const P&, Inputs, const Tensor& ct);
  TensorList (*batch)(const P&, const BatchedInputs&);
  Tensor (*view)(const P&, const Tensor&) = nullptr;
  uint32_t nondifferentiable = 0;
};

template <class P>
struct Bilinear {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  Tensor (*transpose_in)(const P&, int which, Inputs, const Tensor& ct);
  TensorList (*batch)(const P&, const BatchedInputs&);
};

template <class P>
struct Smooth {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  TensorList (*vjp)(const P&, Inputs, Outputs, Inputs cts);
  TensorList (*batch)(const P&, const BatchedInputs&);
  TensorList (*jvp)(const P&, Inputs, Outputs, Inputs tangents) = nullptr;
  uint32_t nondifferentiable = 0;
  uint32_t saves_inputs = kAllBits;
  uint32_t saves_outputs = kAllBits;
};

template <class P>
struct Composite {
  const char* name;
  TensorList (*decompose)(const P&, Inputs);
  /// Result types; null: those of the decomposition, found by abstract evaluation.
  TypeList (*infer)(const P&, Inputs) = nullptr;
  TensorList (*vjp)(const P&, Inputs, Outputs, Inputs cts) = nullptr;
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  uint32_t nondifferentiable = 0;
  uint32_t saves_inputs = kAllBits;
  uint32_t saves_outputs = kAllBits;
};

template <class P>
struct Opaque {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  bool zero_derivative = true;
  Tensor (*view)(const P&, const Tensor&) = nullptr;
};

struct Control {
  const char* name;
  std::function<TypeList(ParamsRef, Inputs)> infer;
  std::function<TensorList(ParamsRef, Inputs)> decompose;
  ControlRules rules;
};

/// Completes the derived parts, gives the primitive its id and keeps it for ever.
const Primitive& define_primitive(Primitive primitive);
const Primitive& define(Control description);

/// Typing of elementwise primitives: equal shapes and dtypes (no implicit broadcasting at this
/// level).
TypeList infer_elementwise(const char* name, Accepts accepts, bool boolean_result,
                           bool predicate_first, int arity, Inputs x);
/// Result types by abstract evaluation of `decompose`.
TypeList infer_by_tracing(const Primitive& primitive, ParamsRef params, Inputs x);

/// All primitives defined so far, by id. `define_all_primitives()` makes that every built-in one.
std::span<const Primitive* const> all_primitives();
void define_all_primitives();

/// Gives `primitive` its current meaning: runs a kernel, records a node, applies a derivative rule.
TensorList emit(const Primitive& primitive, Inputs inputs, ParamsRef params = NoParams{});
TensorList emit(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params = NoParams{});
/// For primitives with one result.
Tensor emit_one(const Primitive& primitive, Inputs inputs, ParamsRef params = NoParams{});
Tensor emit_one(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params = NoParams{});

template <class P>
const Primitive& define(const Elementwise<P>& d) {
  Primitive p;
  p.name = d.name;
  p.kind = Kind::kElementwise;
  p.infer = [d](ParamsRef, Inputs x) {
    return infer_elementwise(d.name, d.accepts, d.boolean_result, d.predicate_first, d.arity, x);
  };
  if (d.partials) {
    p.partials = [f = d.partials](ParamsRef q, Inputs x, Outputs y) { return f(q.as<P>(), x, y); };
  }
  if (d.vjp) {
    p.vjp = [f = d.vjp](ParamsRef q, Inputs x, Outputs y, Inputs ct) {
      return f(q.as<P>(), x, y, ct[0]);
    };
  }
  p.nondifferentiable = d.predicate_first ? 1u : 0u;
  p.linear = d.linear;
  p.zero_derivative = d.zero_derivative || d.boolean_result || (!d.partials && !d.linear);
  p.all_boolean_result = d.boolean_result;
  p.saves_inputs = d.saves_inputs;
  p.saves_outputs = d.saves_outputs;
  return define_primitive(std::move(p));
}

namespace detail {
template <class P, class D>
void take_infer_and_batch(Primitive& p, const D& d) {
  p.name = d.name;
  if (d.infer) p.infer = [f = d.infer](ParamsRef q, Inputs x) { return f(q.template as<P>(), x); };
  if (d.batch)
    p.batch = [f = d.batch](ParamsRef q, const BatchedInputs& x) {
      return f(q.template as<P>(), x);
    };
}
}  // namespace detail

template <class P>
const Primitive& define(const LinearMap<P>& d) {
  Primitive p;
  p.kind = Kind::kLinearMap;
  detail::take_infer_and_batch<P>(p, d);
  p.transpose = [f = d.transpose](ParamsRef q, Inputs x, const Tensor& ct) {
    return f(q.as<P>(), x, ct);
  };
  if (d.view) p.view = [f = d.view](ParamsRef q, const Tensor& x) { return f(q.as<P>(), x); };
  p.nondifferentiable = d.nondifferentiable;
  p.saves_inputs = d.nondifferentiable;
  p.saves_outputs = 0;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Bilinear<P>& d) {
  Primitive p;
  p.kind = Kind::kBilinear;
  detail::take_infer_and_batch<P>(p, d);
  p.transpose_in = [f = d.transpose_in](ParamsRef q, int which, Inputs x, const Tensor& ct) {
    return f(q.as<P>(), which, x, ct);
  };
  p.saves_outputs = 0;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Smooth<P>& d) {
  Primitive p;
  p.kind = Kind::kSmooth;
  detail::take_infer_and_batch<P>(p, d);
  p.vjp = [f = d.vjp](ParamsRef q, Inputs x, Outputs y, Inputs ct) {
    return f(q.as<P>(), x, y, ct);
  };
  if (d.jvp)
    p.jvp = [f = d.jvp](ParamsRef q, Inputs x, Outputs y, Inputs t) {
      return f(q.as<P>(), x, y, t);
    };
  p.nondifferentiable = d.nondifferentiable;
  p.saves_inputs = d.saves_inputs;
  p.saves_outputs = d.saves_outputs;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Composite<P>& d) {
  Primitive p;
  p.kind = Kind::kComposite;
  detail::take_infer_and_batch<P>(p, d);
  p.decompose = [f = d.decompose](ParamsRef q, Inputs x) { return f(q.as<P>(), x); };
  if (d.vjp)
    p.vjp = [f = d.vjp](ParamsRef q, Inputs x, Outputs y, Inputs ct) {
      return f(q.as<P>(), x, y, ct);
    };
  p.nondifferentiable = d.nondifferentiable;
  p.saves_inputs = d.saves_inputs;
  p.saves_outputs = d.saves_outputs;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Opaque<P>& d) {
  Primitive p;
  p.kind = Kind::kOpaque;
  detail::take_infer_and_batch<P>(p, d);
  if (d.view) p.view = [f = d.view](ParamsRef q, const Tensor& x) { return f(q.as<P>(), x); };
  p.zero_derivative = d.zero_derivative;
  return define_primitive(std::move(p));
}

}  // namespace linnet
