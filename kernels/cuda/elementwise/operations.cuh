// The functions of the elementwise kernels, and the kernels' types.
#pragma once

#include "kernels/cuda/elementwise/pointwise.cuh"
#include "kernels/cuda/elementwise/pointwise_list.h"

namespace linnet::cuda {

template <ScalarOp op>
struct Call;
#define LINNET_CALL(id, name, function, arity, params, kind, cost) \
  template <>                                                      \
  struct Call<ScalarOp::id> {                                      \
    template <class... V>                                          \
    static LINNET_DEVICE auto of(V... x) {                         \
      return scalar::function(x...);                               \
    }                                                              \
  };
LINNET_SCALAR_PRIMITIVES(LINNET_CALL)
#undef LINNET_CALL

/// Whether a function takes this type.
template <class V>
constexpr bool takes(ScalarKind kind) {
  constexpr bool is_float = std::is_floating_point_v<V>, is_bool = std::is_same_v<V, bool>;
  switch (kind) {
    case ScalarKind::kNumber:
      return !is_bool;
    case ScalarKind::kNumberOrBool:
    case ScalarKind::kComparison:
      return true;
    case ScalarKind::kFloat:
    case ScalarKind::kPredicate:
      return is_float;
    case ScalarKind::kBits:
      return !is_float;
    case ScalarKind::kInteger:
      return !is_float && !is_bool;
    case ScalarKind::kSelect:
      return false;
  }
  return false;
}

/// Shifts depend on the width of a type: computed in the type itself.
template <ScalarOp op, class V>
LINNET_DEVICE V shifted(int storage, V x, V count) {
  using Byte = std::conditional_t<scalar::kIsSigned<V>, int8_t, uint8_t>;
  using Short = std::conditional_t<scalar::kIsSigned<V>, int16_t, uint16_t>;
  if (storage == static_cast<int>(kDTypeOf<Byte>))
    return Call<op>::of(static_cast<Byte>(x), static_cast<Byte>(count));
  if (storage == static_cast<int>(kDTypeOf<Short>))
    return Call<op>::of(static_cast<Short>(x), static_cast<Short>(count));
  return Call<op>::of(x, count);
}

LINNET_DEVICE float next_after(int storage, float a, float b) {
  if (storage == static_cast<int>(DType::kF16))
    return scalar::nextafter_of_words<scalar::Words<Half>>(a, b);
  if (storage == static_cast<int>(DType::kBF16))
    return scalar::nextafter_of_words<scalar::Words<Bf16>>(a, b);
  return scalar::nextafter(a, b);
}

template <ScalarOp op>
inline constexpr ScalarOpInfo kInfo = scalar_op_info(op);

/// Of one element; 8- and 16-bit integers are computed in 32 bits, 16-bit floats in float.
template <ScalarOp op, class V, class... X>
LINNET_DEVICE auto call(int storage, double parameter, X... x) {
  if constexpr (kInfo<op>.kind == ScalarKind::kInteger && sizeof(V) == 4) {
    return shifted<op, V>(storage, x...);
  } else if constexpr (op == ScalarOp::kNextafter && std::is_same_v<V, float>) {
    return next_after(storage, x...);
  } else if constexpr (kInfo<op>.param_count == 1) {
    return Call<op>::of(x..., parameter);
  } else {
    return Call<op>::of(x...);
  }
}

/// Whether a kernel of this set and type has the function.
template <FunctionSet set, class V, ScalarOp op>
inline constexpr bool kHas =
    takes<V>(scalar_op_info(op).kind) &&
    function_set(op, std::is_floating_point_v<V>, std::is_same_v<V, double>) == set;

/// The functions of a set that take V.
template <FunctionSet set, class V>
struct Operations {
  template <ScalarOp op, int N, class R, class... X>
  static LINNET_DEVICE void all(int storage, double parameter, R (&y)[N], const X (&... x)[N]) {
    LINNET_UNROLL
    for (int i = 0; i < N; ++i) y[i] = call<op, V>(storage, parameter, x[i]...);
  }
  template <ScalarOp op, int kArity, int N, class R>
  static LINNET_DEVICE void one(int storage, double parameter, const V (&x)[kArity][N], R (&y)[N]) {
    if constexpr (kArity == 1) all<op>(storage, parameter, y, x[0]);
    if constexpr (kArity == 2) all<op>(storage, parameter, y, x[0], x[1]);
    if constexpr (kArity == 3) all<op>(storage, parameter, y, x[0], x[1], x[2]);
  }

  template <int kArity, int N, class R>
  static LINNET_DEVICE void apply(int op, int storage, double parameter, const V (&x)[kArity][N],
                                  R (&y)[N]) {
    switch (op) {
#define LINNET_CASE(id, name, function, arity, params, kind, cost)                         \
  case static_cast<int>(ScalarOp::id):                                                     \
    if constexpr (kHas<set, V, ScalarOp::id>) one<ScalarOp::id>(storage, parameter, x, y); \
    break;
      LINNET_SCALAR_PRIMITIVES(LINNET_CASE)
#undef LINNET_CASE
      default:
        break;
    }
  }
};

/// Types that are computed alike, and how many elements of a pack a thread has.
template <Arithmetic arithmetic>
struct Types;
template <class V_, int kElements_, class... S>
struct TypesOf {
  using V = V_;
  static constexpr int kElements = kElements_;
  template <class Place, FunctionSet set, int N, int kArity>
  static LINNET_DEVICE void run(const PointwiseArgs<kArity>& args) {
    constexpr bool predicate = set == FunctionSet::kCompare || set == FunctionSet::kClassify;
    using Result = std::conditional_t<predicate, Bool, void>;
    pointwise<Place, V, Operations<set, V>, Result, kArity, N, S...>(args);
  }
};
template <>
struct Types<Arithmetic::kFloat> : TypesOf<float, 8, float, Bf16, Half> {};
template <>
struct Types<Arithmetic::kDouble> : TypesOf<double, 4, double> {};
template <>
struct Types<Arithmetic::kI32> : TypesOf<int32_t, 8, int32_t, int16_t, int8_t> {};
// Comparisons of bool are those of bytes.
template <>
struct Types<Arithmetic::kU32> : TypesOf<uint32_t, 8, uint32_t, uint16_t, uint8_t, Bool> {};
template <>
struct Types<Arithmetic::kI64> : TypesOf<int64_t, 4, int64_t> {};
template <>
struct Types<Arithmetic::kU64> : TypesOf<uint64_t, 4, uint64_t> {};
template <>
struct Types<Arithmetic::kBool> : TypesOf<bool, 8, Bool> {};

template <Arithmetic arithmetic, FunctionSet set, int kArity>
LINNET_DEVICE void packed(const PointwiseArgs<kArity>& args) {
  constexpr int N = Types<arithmetic>::kElements;
  Types<arithmetic>::template run<PackedPlace<kArity, N>, set, N>(args);
}
template <Arithmetic arithmetic, FunctionSet set, int kArity, int N>
LINNET_DEVICE void strided(const PointwiseArgs<kArity>& args) {
  Types<arithmetic>::template run<StridedPlace<kArity, N>, set, N>(args);
}

#define LINNET_POINTWISE_KERNEL(name, arithmetic, set, arity)                \
  LINNET_KERNEL(name, PointwiseArgs<arity>, kPointwiseThreads) {             \
    packed<Arithmetic::k##arithmetic, FunctionSet::k##set, arity>(args);     \
  }                                                                          \
  LINNET_KERNEL(name##_strided, PointwiseArgs<arity>, kPointwiseThreads) {   \
    strided<Arithmetic::k##arithmetic, FunctionSet::k##set, arity, 2>(args); \
  }

}  // namespace linnet::cuda
