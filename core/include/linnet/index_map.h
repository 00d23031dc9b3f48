// How the dimensions of a primitive's results come from those of its operands: what batching,
// fusion and partitioning over devices know about indices. Derivative rules are another matter and
// stand beside it (primitive.h).
//
//   // b i k, b k j -> b i j, summed over k
//   DimMap map;
//   const int64_t b = map.add(8), i = map.add(3), j = map.add(5);
//   const int64_t k = map.add(4, FactorKind::kSum);
//   map.operands = {{{b}, {i}, {k}}, {{b}, {k}, {j}}};
//   map.results = {{{b}, {i}, {j}}};
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <variant>
#include <vector>

#include "linnet/params.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

// ---- Parameters that speak of dimensions. Their types say what becomes of them when all operands
// ---- and results get a new dimension in front (`with_leading_dimension`).

/// One dimension: counted from one further on.
struct Axis {
  int64_t value = 0;
  constexpr Axis(int64_t axis = 0) : value(axis) {}     // NOLINT(runtime/explicit)
  constexpr operator int64_t() const { return value; }  // NOLINT(runtime/explicit)
};

/// Some dimensions, in any order: each is counted from one further on.
struct AxisList : Axes {
  using Axes::Axes;
  AxisList() = default;
  AxisList(Axes axes) : Axes(std::move(axes)) {}  // NOLINT(runtime/explicit)
};

/// One dimension for each of a list of dimensions that the new one joins, as in a permutation: 0 is
/// put in front.
struct AxisMap : Axes {
  using Axes::Axes;
  AxisMap() = default;
  AxisMap(Axes axes) : Axes(std::move(axes)) {}  // NOLINT(runtime/explicit)
};

/// The size of every dimension of a tensor: that of the new one is put in front.
struct Extents : Shape {
  using Shape::Shape;
  Extents() = default;
  Extents(Shape sizes) : Shape(std::move(sizes)) {}  // NOLINT(runtime/explicit)
};

/// One number for every dimension of a tensor; `kLeading` leaves a dimension as it is.
template <int64_t kLeading>
struct PerDimension : Shape {
  using Shape::Shape;
  PerDimension() = default;
  PerDimension(Shape values) : Shape(std::move(values)) {}  // NOLINT(runtime/explicit)
};

namespace detail {

template <>
inline constexpr bool is_sequence<AxisList> = true;
template <>
inline constexpr bool is_sequence<AxisMap> = true;
template <>
inline constexpr bool is_sequence<Extents> = true;
template <int64_t kLeading>
inline constexpr bool is_sequence<PerDimension<kLeading>> = true;

inline void add_leading(Axis& axis, int64_t) { ++axis.value; }
inline void add_leading(AxisList& axes, int64_t) {
  for (int64_t& axis : axes) ++axis;
}
inline void add_leading(AxisMap& axes, int64_t) {
  for (int64_t& axis : axes) ++axis;
  axes.insert(0, 0);
}
inline void add_leading(Extents& sizes, int64_t size) { sizes.insert(0, size); }
template <int64_t kLeading>
void add_leading(PerDimension<kLeading>& values, int64_t) {
  values.insert(0, kLeading);
}
/// Everything else does not speak of dimensions, or of inner ones only.
template <class T>
void add_leading(T& value, int64_t size) {
  if constexpr (HasFields<T>) {
    value.linnet_fields().apply([size](auto&... field) { (add_leading(field, size), ...); });
  }
}

}  // namespace detail

/// The parameters of the same operation on operands and results with one more dimension, of size
/// `size`, in front.
template <class P>
P with_leading_dimension(P params, int64_t size) {
  detail::add_leading(params, size);
  return params;
}

// ---- Dimensions.

/// What dividing the range of an index does to the results.
enum class FactorKind : uint8_t {
  kPass,  ///< each part of the results comes from the same part of the operands
  kSum,   ///< the results of the parts are added
  kMax,   ///< the largest of the results of the parts is taken
  kMin,   ///< the smallest
  kWhole  ///< the range is needed whole
};

/// An index: operand and result dimensions that it runs over share it.
struct Factor {
  int64_t size = 0;
  FactorKind kind = FactorKind::kPass;
};

/// The indices of each dimension, major to minor. Most dimensions have one; those that a reshape
/// joins or splits have several.
using TensorFactors = std::vector<std::vector<int64_t>>;

/// Which dimensions of operands and results belong together.
struct DimMap {
  std::vector<Factor> factors;
  std::vector<TensorFactors> operands, results;

  /// A new factor; returns its number.
  int64_t add(int64_t size, FactorKind kind = FactorKind::kPass) {
    factors.push_back({size, kind});
    return static_cast<int64_t>(factors.size()) - 1;
  }
};

/// Operands of a batching rule: those marked batched carry the batch dimension, of size `size`, in
/// front.
struct BatchedInputs {
  std::span<const Tensor> x;
  std::span<const uint8_t> batched;
  int64_t size;
};

namespace maps {

/// An element of the result is made of the elements of the operands at the same index; operands and
/// result have one shape.
struct Pointwise {};

/// A map from the parameters and the operands' shapes. Batching follows: every operand gets the new
/// dimension in front, and the parameters speak of one dimension more.
struct Dims {
  std::function<DimMap(ParamsRef, std::span<const Tensor>)> dims;
  std::function<Params(ParamsRef, int64_t size)> with_leading;
};

/// A batching rule of its own, where another way than a dimension in front is better. Without one
/// batching is an error. `dims` may be left out: then all dimensions are needed whole.
struct Custom {
  std::function<std::vector<Tensor>(ParamsRef, const BatchedInputs&)> batch;
  std::function<DimMap(ParamsRef, std::span<const Tensor>)> dims;
};

/// Those of the operations it consists of.
struct Parts {};

}  // namespace maps

using IndexMap = std::variant<maps::Custom, maps::Pointwise, maps::Dims, maps::Parts>;

}  // namespace linnet

#pragma GCC visibility pop
