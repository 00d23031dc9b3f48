// Maps of dimensions that several primitives share (linnet/index_map.h).
//
//   .dims = [](const SortParams& p, Inputs x) { return dims::aligned(x, {p.axis}, x[0].shape()); }
#pragma once

#include "linnet/primitive.h"

namespace linnet::dims {

/// Operands and result of one rank. Dimensions belong together by position, but for those in
/// `whole`, which are needed whole.
DimMap aligned(Inputs x, const Axes& whole, const Shape& result);
/// `x` without `axes`, which are of `kind`.
DimMap reduced(const Tensor& x, const Axes& axes, FactorKind kind);
/// The first `count` dimensions of all operands and results belong together; the others are needed
/// whole.
DimMap leading(Inputs x, const TypeList& results, size_t count);
/// Dimension `axes[i]` of the result is dimension i of `x`, unless `x` repeats along it.
DimMap placed(const Tensor& x, const Axes& axes, const Shape& result);
/// The same elements in row-major order: each dimension is split as far as the other shape asks.
DimMap regrouped(const Shape& from, const Shape& to);
/// Each operand is a result, and has nothing to do with the others.
DimMap separate(Inputs x);

}  // namespace linnet::dims
