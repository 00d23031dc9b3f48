// Functions of jax.numpy that arrange, join and pick elements, beside those of ops.h and numpy.h.
// All are made of other operations, so they have derivatives and work in every transformation.
//
//   Tensor grid = stack(indices({4, 4}));              // i32[2,4,4]
//   Tensor slopes = diff(x, 1, 0) / diff(t);
//   Tensor total = trace(linalg_matrix);
//
// The umbrella header does not include this one.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

// Joining (J-008)
/// At least so many dimensions: a vector [n] becomes [1, n] and [1, n, 1], a matrix [m, n, 1].
Tensor atleast_1d(const Tensor& x);
Tensor atleast_2d(const Tensor& x);
Tensor atleast_3d(const Tensor& x);
/// One beside the other: along axis 1, vectors along axis 0.
Tensor hstack(const std::vector<Tensor>& parts);
/// One below the other; vectors are rows.
Tensor vstack(const std::vector<Tensor>& parts);
/// Along axis 2.
Tensor dstack(const std::vector<Tensor>& parts);
/// Vectors are columns.
Tensor column_stack(const std::vector<Tensor>& parts);
/// The entries along an axis, which disappears.
std::vector<Tensor> unstack(const Tensor& x, int64_t axis = 0);
/// `values` behind `x`: along `axis`, or both flattened.
Tensor append(const Tensor& x, const Tensor& values, std::optional<int64_t> axis = {});
/// `values`, which broadcast to a part of `x` with `count` entries, before entry `index`.
Tensor insert(const Tensor& x, int64_t index, const Tensor& values, int64_t axis,
              int64_t count = 1);
/// Without the entries `indices`, as numpy.delete. @throws ValueError for one that does not exist.
Tensor remove(const Tensor& x, const std::vector<int64_t>& indices, int64_t axis);
/// The elements in row-major order, repeated as long as `shape` asks for more.
/// @throws ShapeError if there are none to repeat.
Tensor resize(const Tensor& x, const Shape& shape);

// Turning (J-008)
/// By 90 degrees, `k` times, from the first of the axes towards the second.
Tensor rot90(const Tensor& x, int64_t k = 1, std::pair<int64_t, int64_t> axes = {0, 1});
Tensor fliplr(const Tensor& x);  ///< along axis 1
Tensor flipud(const Tensor& x);  ///< along axis 0
/// Of the flattened elements.
Tensor roll(const Tensor& x, int64_t shift);
/// Each axis by its own shift. @throws ValueError if there is not one for each.
Tensor roll(const Tensor& x, const std::vector<int64_t>& shifts, const Axes& axes);

// Diagonals and grids (J-006, J-015)
/// The `offset`-th diagonal of two axes, which becomes the last axis.
Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1);
/// Its sum.
Tensor trace(const Tensor& x, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1);
/// The matrix with the flattened elements on its k-th diagonal.
Tensor diagflat(const Tensor& x, int64_t k = 0);
/// A matrix [m, n] with `value`, a number or a vector [min(m, n)], on its diagonal.
Tensor fill_diagonal(const Tensor& x, const Tensor& value);
/// Rows and columns, i32, of the elements of one triangle of an [n, m] matrix (m = n if negative).
std::pair<Tensor, Tensor> tril_indices(int64_t n, int64_t k = 0, int64_t m = -1);
std::pair<Tensor, Tensor> triu_indices(int64_t n, int64_t k = 0, int64_t m = -1);
/// Coordinates of every element: one tensor of `shape` per dimension.
std::vector<Tensor> indices(const Shape& shape, DType dtype = DType::kI32);
/// Positions in row-major order of coordinates, which are clamped to `shape`.
Tensor ravel_multi_index(const std::vector<Tensor>& coordinates, const Shape& shape);
/// Powers n - 1 … 0 of the elements of a vector as columns (n of its length if negative).
Tensor vander(const Tensor& x, int64_t n = -1, bool increasing = false);
/// `count` numbers whose logarithms are evenly spaced: from base^start to base^stop.
Tensor logspace(double start, double stop, int64_t count, double base = 10,
                DType dtype = DType::kF32);
/// The same from `start` to `stop`, which have one sign. @throws ValueError if they have not.
Tensor geomspace(double start, double stop, int64_t count, DType dtype = DType::kF32);

// Picking and order (J-010 … J-014)
/// `size` entries from a traced `start`, which is clamped so that they fit.
Tensor dynamic_slice_in_dim(const Tensor& x, const Tensor& start, int64_t size, int64_t axis = 0);
/// One entry; the axis stays, with one entry, if `keepdims`.
Tensor dynamic_index_in_dim(const Tensor& x, const Tensor& index, int64_t axis = 0,
                            bool keepdims = true);
Tensor dynamic_update_slice_in_dim(const Tensor& x, const Tensor& update, const Tensor& start,
                                   int64_t axis);
/// cases[which]: `which` is bool or an integer, of no dimensions or of the shape of the cases; it
/// is clamped.
Tensor select_n(const Tensor& which, const std::vector<Tensor>& cases);
/// `x` with values[…] where take_along_axis(x, indices, axis) reads; those out of range are
/// dropped.
Tensor put_along_axis(const Tensor& x, const Tensor& indices, const Tensor& values, int64_t axis);
/// Coordinates of the first `size` elements that are not 0, i32 [size, rank], filled up with
/// `fill`.
Tensor argwhere(const Tensor& x, int64_t size, int64_t fill = 0);
/// Their positions in the flattened tensor, [size].
Tensor flatnonzero(const Tensor& x, int64_t size, int64_t fill = 0);
/// The order, i32 [n], by the last of the keys [n], among equals by the one before, and so on.
Tensor lexsort(const std::vector<Tensor>& keys);
/// The running minimum; equal ones share the derivative as in `cummax`.
Tensor cummin(const Tensor& x, int64_t axis, bool reverse = false);
/// The n-th differences of neighbours; of bools, whether they differ.
Tensor diff(const Tensor& x, int64_t n = 1, int64_t axis = -1);

// Sets, as flattened tensors (J-014)
/// Whether each element is among `of`: bool, of the shape of `x`.
Tensor isin(const Tensor& x, const Tensor& of);
/// The first `size` elements, ascending, of the union; filled up with `fill` or the least.
Tensor union1d(const Tensor& a, const Tensor& b, int64_t size, const Tensor& fill = {});
/// Of the elements that are in both; filled up with `fill` or the least of them (of none: of all).
Tensor intersect1d(const Tensor& a, const Tensor& b, int64_t size, const Tensor& fill = {});
/// Of the elements of `a` that are not in `b`; filled up with `fill`.
Tensor setdiff1d(const Tensor& a, const Tensor& b, int64_t size, const Tensor& fill = 0);

}  // namespace linnet

#pragma GCC visibility pop
