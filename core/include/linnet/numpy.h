// Functions of jax.numpy beyond those of ops.h, all made of them: they have their derivatives, and
// work in every transformation. Where NumPy's result has a size that depends on values, the size is
// an argument, as in JAX.
//
//   auto [values, indices] = top_k(logits, 5);
//   Tensor padded = pad(x, {{1, 1}, {2, 2}}, PadMode::kReflect);
//   Tensor mean_of_valid = mean(x, {.axes = {1}, .where = valid});
#pragma once

#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

// Creation (J-006, J-015)
/// Ones on and below the k-th diagonal of an [n, m] matrix (m = n if negative).
Tensor tri(int64_t n, int64_t m = -1, int64_t k = 0, DType dtype = DType::kF32);
Tensor identity(int64_t n, DType dtype = DType::kF32);
/// The matrix with the vector `x` on its k-th diagonal, or the k-th diagonal of a matrix.
Tensor diag(const Tensor& x, int64_t k = 0);
/// Coordinates of a grid, each of the shape of all lengths; the first two axes are exchanged unless
/// `matrix_indexing`.
std::vector<Tensor> meshgrid(const std::vector<Tensor>& axes, bool matrix_indexing = false);
/// The coordinates of positions in the row-major order of `shape`.
std::vector<Tensor> unravel_index(const Tensor& positions, const Shape& shape);

// Shapes (J-007, J-008)
std::vector<Tensor> broadcast_arrays(const std::vector<Tensor>& tensors);
/// `sections` parts, of which the first are longer by one if the size does not divide.
std::vector<Tensor> array_split(const Tensor& x, int64_t sections, int64_t axis = 0);
/// Element i is repeated `repeats[i]` times (integers [n]); of the result the first `total` are
/// given, the last element fills up what is missing.
Tensor repeat(const Tensor& x, const Tensor& repeats, int64_t axis, int64_t total);
enum class PadMode : uint8_t {
  kEdge,
  kReflect,    ///< mirrored at the outer elements, which are not repeated
  kSymmetric,  ///< mirrored behind them
  kWrap,
  kMaximum,  ///< of all elements along the axis; likewise below
  kMinimum,
  kMean,
  kLinearRamp  ///< from the outer element to 0
};
/// Low and high edges of each dimension, filled from `x` itself.
/// @throws ShapeError for edges that are negative, or of a dimension without elements.
Tensor pad(const Tensor& x, const std::vector<std::pair<int64_t, int64_t>>& edges, PadMode mode);

// Indexing (J-009, J-011)
/// x[start:stop:step] along one axis as in NumPy: steps may be negative, ends out of range are
/// clamped, missing ones are those of the axis.
Tensor slice_step(const Tensor& x, std::optional<int64_t> start, std::optional<int64_t> stop,
                  int64_t step, int64_t axis = 0);
/// x[mask]: the elements for which the mask, of the shape of leading axes of `x`, is true. Its
/// values give the size of the result, so that it cannot be traced. @throws TraceError if it is.
Tensor boolean_mask(const Tensor& x, const Tensor& mask);
/// The choice of the first condition that is true; `otherwise` where none is.
Tensor select(const std::vector<Tensor>& conditions, const std::vector<Tensor>& choices,
              const Tensor& otherwise = 0);
/// choices[index], element by element; indices are clamped.
Tensor choose(const Tensor& index, const std::vector<Tensor>& choices);
/// Coordinates of the first `size` elements that are not 0, one tensor [size] per dimension, filled
/// up with `fill`.
std::vector<Tensor> nonzero(const Tensor& x, int64_t size, int64_t fill = 0);
Tensor count_nonzero(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);

// Order (J-014)
struct TopK {
  Tensor values, indices;  ///< descending; of equal ones the first; NaN is the largest
};
TopK top_k(const Tensor& x, int64_t k, int64_t axis = -1);
struct Unique {
  Tensor values;   ///< ascending [size], filled up with `fill` or the least value; NaN counts once
  Tensor indices;  ///< where each is met first
  Tensor inverse;  ///< the position in `values` of every element
  Tensor counts;
};
/// The first `size` different elements of the flattened tensor.
Unique unique(const Tensor& x, int64_t size, const Tensor& fill = {});
/// Positions at which `values` would be inserted into `sorted` [n], before equal ones, or behind
/// them if `right`; i32.
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right = false);
/// How often each of 0 … length - 1 occurs among integers, or the sum of their weights. Negative
/// ones count as 0, those beyond are dropped.
Tensor bincount(const Tensor& x, int64_t length, const Tensor& weights = {});
/// Interpolated linearly between the sorted elements: q in [0, 1], of rank 0 or 1, whose axis comes
/// first. Without axis of all elements; NaN if there is a NaN.
Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> axis = {});
Tensor median(const Tensor& x, std::optional<int64_t> axis = {});

// Reductions of some elements (J-021). g++ 12 takes options that are numbers alone for axes, and
// wants their type: sum(x, ReduceOptions{.axes = {1}}).
namespace detail {
/// None means all.
inline ReductionAxes axes_in_braces(std::initializer_list<int64_t> axes) {
  return axes.size() == 0 ? ReductionAxes() : ReductionAxes(axes);
}
}  // namespace detail

struct ReduceOptions {
  Axes axes = {};  ///< none means all
  bool keepdims = false;
  Tensor where = {};                ///< bool, broadcasts to `x`: the elements that take part
  Tensor initial = {};              ///< one more element
  std::optional<DType> dtype = {};  ///< `x` is converted to it first
  int64_t ddof = 0;                 ///< of variance and deviation
};
Tensor sum(const Tensor& x, const ReduceOptions& options);
Tensor prod(const Tensor& x, const ReduceOptions& options);
/// @throws ValueError for max and min of a part without initial.
Tensor max(const Tensor& x, const ReduceOptions& options);
Tensor min(const Tensor& x, const ReduceOptions& options);
Tensor mean(const Tensor& x, const ReduceOptions& options);
Tensor var(const Tensor& x, const ReduceOptions& options);
Tensor std_dev(const Tensor& x, const ReduceOptions& options);
Tensor any(const Tensor& x, const ReduceOptions& options);
Tensor all(const Tensor& x, const ReduceOptions& options);
/// Axes in braces, `sum(x, {})` and `sum(x, {0, 1})`, are axes, not options.
inline Tensor sum(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return sum(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor prod(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return prod(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor max(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return max(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor min(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return min(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor mean(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return mean(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor any(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return any(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor all(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false) {
  return all(x, detail::axes_in_braces(axes), keepdims);
}
inline Tensor var(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false,
                  int64_t ddof = 0) {
  return var(x, detail::axes_in_braces(axes), keepdims, ddof);
}
inline Tensor std_dev(const Tensor& x, std::initializer_list<int64_t> axes, bool keepdims = false,
                      int64_t ddof = 0) {
  return std_dev(x, detail::axes_in_braces(axes), keepdims, ddof);
}

/// Of the elements that are not NaN; of none, 0, or NaN for the last three.
Tensor nansum(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor nanmean(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor nanmax(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor nanmin(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);

// Products and comparisons (J-017, J-023)
std::pair<Tensor, Tensor> divmod(const Tensor& a, const Tensor& b);
/// Sum of the products of all elements.
Tensor vdot(const Tensor& a, const Tensor& b);
/// Sums over the last axis of both.
Tensor inner(const Tensor& a, const Tensor& b);
/// Of vectors of three elements along the last axis.
Tensor cross(const Tensor& a, const Tensor& b);
Tensor kron(const Tensor& a, const Tensor& b);
enum class ConvolveMode : uint8_t { kFull, kSame, kValid };
/// Of two vectors.
Tensor convolve(const Tensor& a, const Tensor& v, ConvolveMode mode = ConvolveMode::kFull);
/// Values at `x` of the polyline through (xp, fp), xp [n] ascending; constant beyond its ends.
Tensor interp(const Tensor& x, const Tensor& xp, const Tensor& fp);
/// |a - b| <= atol + rtol |b|; equal infinities are close, NaN only if `equal_nan`.
Tensor isclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false);
Tensor allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
                bool equal_nan = false);
/// bool[]: equal in shape and in every element.
Tensor array_equal(const Tensor& a, const Tensor& b);

}  // namespace linnet

#pragma GCC visibility pop
