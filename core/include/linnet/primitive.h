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
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "linnet/index_map.h"
#include "linnet/params.h"
#include "linnet/params_reader.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

using Inputs = std::span<const Tensor>;
using Outputs = std::span<const Tensor>;
using TypeList = std::vector<TensorType>;

/// Where the elements of a tensor lie in its memory; strides and offset in elements.
struct TensorLayout {
  DType dtype = DType::kF32;
  Shape shape;
  Strides strides;
  int64_t offset = 0;
};

/// How the operand of a view lies: a look at its shape and strides.
struct LayoutRef {
  DType dtype;
  const Shape& shape;
  const Strides& strides;
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

/// How derivatives come about: the alternatives of `Primitive::rule`.
namespace rules {

/// Elementwise: d out / d x[i]; undefined tensors for operands without derivative. `vjp` is an
/// optional fused reverse rule, which must agree.
struct Partials {
  std::function<TensorList(ParamsRef, Inputs, Outputs)> partials;
  std::function<TensorList(ParamsRef, Inputs, Outputs, const Tensor& ct)> vjp;
};
/// Linear in all differentiable operands together, so that the tangent map is the primitive itself.
/// Gives the cotangents of the operands; those not in `nondifferentiable` are given as types only.
struct Transpose {
  std::function<TensorList(ParamsRef, Inputs, const Tensor& ct)> transpose;
};
/// Linear in each of two operands. Gives the cotangent of operand `which`, which is given as a type
/// only.
struct Bilinear {
  std::function<Tensor(ParamsRef, int which, Inputs, const Tensor& ct)> transpose_in;
};
/// Cotangents of all inputs from those of all outputs (undefined tensors mean zero), and optionally
/// tangents of the outputs; without `jvp` the tangents come from the transpose of `vjp`.
struct Vjp {
  std::function<TensorList(ParamsRef, Inputs, Outputs, Inputs cts)> vjp;
  std::function<TensorList(ParamsRef, Inputs, Outputs, Inputs tangents)> jvp;
};
/// The outputs do not depend differentiably on any input.
struct Zero {};
/// Differentiation is an error that names the primitive.
struct Opaque {};
/// That of the operations it consists of, but for an optional `vjp`. A composite stays whole until
/// a back end declines it.
struct Composite {
  std::function<TensorList(ParamsRef, Inputs, Outputs, Inputs cts)> vjp;
};
/// Holds sub-graphs; the rules transform the bodies.
struct Control {
  ControlRules rules;
  bool is_its_body = false;  ///< programs put `decompose` in its place once derivatives are taken
};

}  // namespace rules

using DerivativeRule =
    std::variant<rules::Opaque, rules::Partials, rules::Transpose, rules::Bilinear, rules::Vjp,
                 rules::Zero, rules::Composite, rules::Control>;

/// The description all transformations read. Made by `define`, lives for ever. What the derivative
/// is and which indices belong together are independent of each other.
struct Primitive {
  std::string name;
  int id = -1;
  DerivativeRule rule;
  IndexMap map;

  std::function<TypeList(ParamsRef, Inputs)> infer;
  /// The operations it consists of: the definition of composites and control primitives.
  std::function<TensorList(ParamsRef, Inputs)> decompose;
  /// Where the result lies in the operand's memory, from its first element on; nothing if it needs
  /// memory of its own.
  std::function<std::optional<TensorLayout>(ParamsRef, const LayoutRef&)> view;

  /// Parameters from the text they print. @throws ValueError if the text is of others.
  std::function<Params(std::string_view)> read_params;

  uint32_t nondifferentiable = 0;  ///< bit i: operand i has no derivative (indices, predicates)
  uint32_t saves_inputs = ~uint32_t{0};   ///< bit i: the derivative rule reads input i
  uint32_t saves_outputs = ~uint32_t{0};  ///< bit i: the derivative rule reads output i
  bool elementwise_typing = false;        ///< typed by `infer_elementwise`
  bool all_boolean_result = false;        ///< and the result is bool whatever the operands are
  bool distinct = false;                  ///< programs never merge two of them, however equal
  bool complex = false;                   ///< takes complex operands; others refuse them by name

  /// The rule, if it is of that kind; null if it is another.
  template <class Rule>
  const Rule* rule_as() const {
    return std::get_if<Rule>(&rule);
  }
  bool pointwise() const { return std::holds_alternative<maps::Pointwise>(map); }
  bool composite() const { return std::holds_alternative<rules::Composite>(rule); }
  bool control() const { return std::holds_alternative<rules::Control>(rule); }
};

/// "partials", "transpose", …
std::string_view name_of(const DerivativeRule& rule);
/// "pointwise", "dimensions", "custom" or "parts".
std::string_view name_of(const IndexMap& map);

/// Which dimensions belong together in an application of `primitive`. Always right, if not always
/// telling: what nothing is known about is needed whole.
DimMap dim_map(const Primitive& primitive, ParamsRef params, Inputs x);

/// Bit mask of operand or result indices.
constexpr uint32_t bits_of(std::initializer_list<int> indices) {
  uint32_t mask = 0;
  for (int index : indices) mask |= uint32_t{1} << index;
  return mask;
}
inline constexpr uint32_t kAllBits = ~uint32_t{0};

/// Element types an elementwise primitive takes for its value operands.
enum class Accepts : uint8_t { kAny, kNumeric, kFloating, kInteger, kIntegerOrBool };

// ---- Descriptions. Each gives one derivative rule; about indices it is pointwise, or says `dims`,
// ---- or has a batching rule `batch` of its own (with `dims` for partitioning, if they are known).

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
  std::optional<TensorLayout> (*view)(const P&, const LayoutRef&) = nullptr;
  /// Takes complex operands too; every description says it so. Derivatives are those of JAX: of a
  /// holomorphic function the complex derivative, not conjugated.
  bool complex = false;
};

template <class P>
struct LinearMap {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  TensorList (*transpose)(const P&, Inputs, const Tensor& ct);
  DimMap (*dims)(const P&, Inputs) = nullptr;
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  std::optional<TensorLayout> (*view)(const P&, const LayoutRef&) = nullptr;
  uint32_t nondifferentiable = 0;
  bool pointwise = false;
  bool complex = false;
};

template <class P>
struct Bilinear {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  Tensor (*transpose_in)(const P&, int which, Inputs, const Tensor& ct);
  DimMap (*dims)(const P&, Inputs) = nullptr;
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  bool complex = false;
};

template <class P>
struct Smooth {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  TensorList (*vjp)(const P&, Inputs, Outputs, Inputs cts);
  TensorList (*jvp)(const P&, Inputs, Outputs, Inputs tangents) = nullptr;
  DimMap (*dims)(const P&, Inputs) = nullptr;
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  uint32_t nondifferentiable = 0;
  uint32_t saves_inputs = kAllBits;
  uint32_t saves_outputs = kAllBits;
  bool distinct = false;
  bool complex = false;
};

/// Without `dims` and `batch` the parts are batched.
template <class P>
struct Composite {
  const char* name;
  TensorList (*decompose)(const P&, Inputs);
  /// Result types; null: those of the decomposition, found by abstract evaluation.
  TypeList (*infer)(const P&, Inputs) = nullptr;
  TensorList (*vjp)(const P&, Inputs, Outputs, Inputs cts) = nullptr;
  DimMap (*dims)(const P&, Inputs) = nullptr;
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  uint32_t nondifferentiable = 0;
  uint32_t saves_inputs = kAllBits;
  uint32_t saves_outputs = kAllBits;
  bool complex = false;
};

template <class P>
struct Opaque {
  const char* name;
  TypeList (*infer)(const P&, Inputs);
  DimMap (*dims)(const P&, Inputs) = nullptr;
  TensorList (*batch)(const P&, const BatchedInputs&) = nullptr;
  bool zero_derivative = true;
  std::optional<TensorLayout> (*view)(const P&, const LayoutRef&) = nullptr;
  bool pointwise = false;
  bool complex = false;
};

struct Control {
  const char* name;
  std::function<TypeList(ParamsRef, Inputs)> infer;
  std::function<TensorList(ParamsRef, Inputs)> decompose;
  ControlRules rules;
  /// Its meaning, once derivatives are taken, is its body. Loops and branches stay whole, since how
  /// often their bodies run depends on values.
  bool is_its_body = false;
};

/// Completes the derived parts, gives the primitive its id and keeps it for ever.
/// @throws ValueError if parts are missing that its rule or map needs, or given that nothing reads.
const Primitive& define_primitive(Primitive primitive);
const Primitive& define(Control description);

/// @throws ValueError naming the primitive unless there are `count` operands.
void expect_operands(const char* name, int count, Inputs x);
/// Typing of elementwise primitives: equal shapes and dtypes (no implicit broadcasting at this
/// level).
TypeList infer_elementwise(const char* name, Accepts accepts, bool boolean_result,
                           bool predicate_first, int arity, Inputs x);
/// @throws DTypeError naming the primitive if an operand is complex and it takes no such ones.
void check_complex(const Primitive& primitive, Inputs x);
/// Result types by abstract evaluation of `decompose`.
TypeList infer_by_tracing(const Primitive& primitive, ParamsRef params, Inputs x);

/// All primitives defined so far, by id. `define_all_primitives()` makes that every built-in one.
std::span<const Primitive* const> all_primitives();
void define_all_primitives();

/// The primitive of that name, the first if there are several; null if there is none.
const Primitive* find_primitive(std::string_view name);

/// Gives `primitive` its current meaning: runs a kernel, records a node, applies a derivative rule.
TensorList emit(const Primitive& primitive, Inputs inputs, ParamsRef params = NoParams{});
TensorList emit(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params = NoParams{});
/// For primitives with one result.
Tensor emit_one(const Primitive& primitive, Inputs inputs, ParamsRef params = NoParams{});
Tensor emit_one(const Primitive& primitive, std::initializer_list<Tensor> inputs,
                ParamsRef params = NoParams{});

namespace detail {

/// A rule given for parameters of type P, for those of any type.
template <class P, class Result, class... Args>
auto erased(Result (*f)(const P&, Args...)) -> std::function<Result(ParamsRef, Args...)> {
  if (!f) return nullptr;
  return [f](ParamsRef q, Args... args) -> Result {
    return f(q.template as<P>(), std::forward<Args>(args)...);
  };
}

template <class P, class D>
IndexMap index_map_of(const D& d) {
  if (d.batch) return maps::Custom{erased<P>(d.batch), erased<P>(d.dims)};
  if (!d.dims) return maps::Custom{};
  return maps::Dims{erased<P>(d.dims), [](ParamsRef q, int64_t size) {
                      return Params(with_leading_dimension(q.template as<P>(), size));
                    }};
}

/// What all descriptions but the elementwise one have.
template <class P, class D>
Primitive common_parts(const D& d) {
  Primitive p;
  p.name = d.name;
  p.infer = erased<P>(d.infer);
  p.map = index_map_of<P>(d);
  p.read_params = read_params<P>;
  p.complex = d.complex;
  return p;
}

template <class D>
void take_masks(Primitive& p, const D& d) {
  p.nondifferentiable = d.nondifferentiable;
  p.saves_inputs = d.saves_inputs;
  p.saves_outputs = d.saves_outputs;
}

}  // namespace detail

template <class P>
const Primitive& define(const Elementwise<P>& d) {
  Primitive p;
  p.name = d.name;
  p.map = maps::Pointwise{};
  p.read_params = detail::read_params<P>;
  p.infer = [d](ParamsRef, Inputs x) {
    return infer_elementwise(d.name, d.accepts, d.boolean_result, d.predicate_first, d.arity, x);
  };
  if (d.linear) {
    p.rule = rules::Transpose{[f = d.vjp](ParamsRef q, Inputs x, const Tensor& ct) {
      return f(q.as<P>(), x, Outputs(), ct);
    }};
  } else if (d.partials && !d.zero_derivative && !d.boolean_result) {
    p.rule = rules::Partials{detail::erased<P>(d.partials), detail::erased<P>(d.vjp)};
  } else {
    p.rule = rules::Zero{};
  }
  p.view = detail::erased<P>(d.view);
  p.nondifferentiable = d.predicate_first ? 1u : 0u;
  p.elementwise_typing = true;
  p.all_boolean_result = d.boolean_result;
  p.saves_inputs = d.saves_inputs;
  p.saves_outputs = d.saves_outputs;
  p.complex = d.complex;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const LinearMap<P>& d) {
  Primitive p = detail::common_parts<P>(d);
  if (d.pointwise) p.map = maps::Pointwise{};
  p.rule = rules::Transpose{detail::erased<P>(d.transpose)};
  p.view = detail::erased<P>(d.view);
  p.nondifferentiable = d.nondifferentiable;
  p.saves_inputs = d.nondifferentiable;
  p.saves_outputs = 0;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Bilinear<P>& d) {
  Primitive p = detail::common_parts<P>(d);
  p.infer = [name = d.name, f = d.infer](ParamsRef q, Inputs x) {
    expect_operands(name, 2, x);
    return f(q.as<P>(), x);
  };
  p.rule = rules::Bilinear{detail::erased<P>(d.transpose_in)};
  p.saves_outputs = 0;
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Smooth<P>& d) {
  Primitive p = detail::common_parts<P>(d);
  p.rule = rules::Vjp{detail::erased<P>(d.vjp), detail::erased<P>(d.jvp)};
  p.distinct = d.distinct;
  detail::take_masks(p, d);
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Composite<P>& d) {
  Primitive p = detail::common_parts<P>(d);
  if (!d.batch && !d.dims) p.map = maps::Parts{};
  p.rule = rules::Composite{detail::erased<P>(d.vjp)};
  p.decompose = detail::erased<P>(d.decompose);
  detail::take_masks(p, d);
  return define_primitive(std::move(p));
}

template <class P>
const Primitive& define(const Opaque<P>& d) {
  Primitive p = detail::common_parts<P>(d);
  if (d.pointwise) p.map = maps::Pointwise{};
  if (d.zero_derivative) p.rule = rules::Zero{};
  p.view = detail::erased<P>(d.view);
  return define_primitive(std::move(p));
}

}  // namespace linnet

#pragma GCC visibility pop
