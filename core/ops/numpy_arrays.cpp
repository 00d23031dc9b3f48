// Joining, turning, diagonals and grids of linnet/numpy_arrays.h.
#include "linnet/numpy_arrays.h"

#include <algorithm>
#include <cmath>

#include "linnet/detail/format.h"
#include "linnet/numpy.h"

namespace linnet {
namespace {

int64_t positive(int64_t axis, const Tensor& x) {
  return axis < 0 ? axis + static_cast<int64_t>(x.rank()) : axis;
}

std::vector<Tensor> each(const std::vector<Tensor>& parts, Tensor (*f)(const Tensor&)) {
  std::vector<Tensor> out;
  for (const Tensor& x : parts) out.push_back(f(x));
  return out;
}

Tensor from_positions(const std::vector<int32_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

std::pair<Tensor, Tensor> triangle(int64_t n, int64_t k, int64_t m, bool lower) {
  std::vector<int32_t> rows, columns;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < (m < 0 ? n : m); ++j) {
      if (lower ? j - i > k : j - i < k) continue;
      rows.push_back(static_cast<int32_t>(i));
      columns.push_back(static_cast<int32_t>(j));
    }
  }
  return {from_positions(rows), from_positions(columns)};
}

}  // namespace

Tensor atleast_1d(const Tensor& x) { return x.rank() == 0 ? expand_dims(x, 0) : x; }
Tensor atleast_2d(const Tensor& x) { return x.rank() < 2 ? expand_dims(atleast_1d(x), 0) : x; }
Tensor atleast_3d(const Tensor& x) { return x.rank() < 3 ? expand_dims(atleast_2d(x), 2) : x; }

Tensor hstack(const std::vector<Tensor>& parts) {
  const std::vector<Tensor> all = each(parts, atleast_1d);
  return concatenate(all, all.empty() || all[0].rank() == 1 ? 0 : 1);
}
Tensor vstack(const std::vector<Tensor>& parts) { return concatenate(each(parts, atleast_2d), 0); }
Tensor dstack(const std::vector<Tensor>& parts) { return concatenate(each(parts, atleast_3d), 2); }
Tensor column_stack(const std::vector<Tensor>& parts) {
  return concatenate(
      each(parts, [](const Tensor& x) { return x.rank() < 2 ? transpose(atleast_2d(x)) : x; }), 1);
}

std::vector<Tensor> unstack(const Tensor& x, int64_t axis) {
  std::vector<Tensor> out;
  for (int64_t i = 0; i < x.shape(axis); ++i) out.push_back(index_axis(x, i, axis));
  return out;
}

Tensor append(const Tensor& x, const Tensor& values, std::optional<int64_t> axis) {
  return axis ? concatenate({x, values}, *axis) : concatenate({ravel(x), ravel(values)}, 0);
}

Tensor insert(const Tensor& x, int64_t index, const Tensor& values, int64_t axis, int64_t count) {
  const int64_t size = x.shape(axis), before = index < 0 ? index + size : index;
  if (before < 0 || before > size)
    fail<ValueError>("insert: entry {} is not in axis {} of {}", index, axis, to_string(x.type()));
  Shape shape = x.shape();
  shape[static_cast<size_t>(positive(axis, x))] = count;
  return concatenate(
      {slice_axis(x, 0, before, axis), broadcast_to(astype(values, x.dtype()), shape),
       slice_axis(x, before, size, axis)},
      axis);
}

Tensor remove(const Tensor& x, const std::vector<int64_t>& indices, int64_t axis) {
  const int64_t size = x.shape(axis);
  std::vector<bool> gone(static_cast<size_t>(size));
  for (int64_t index : indices) {
    const int64_t at = index < 0 ? index + size : index;
    if (at < 0 || at >= size)
      fail<ValueError>("remove: entry {} is not in axis {} of {}", index, axis,
                       to_string(x.type()));
    gone[static_cast<size_t>(at)] = true;
  }
  std::vector<int32_t> kept;
  for (int64_t i = 0; i < size; ++i)
    if (!gone[static_cast<size_t>(i)]) kept.push_back(static_cast<int32_t>(i));
  return take(x, from_positions(kept), axis, GatherMode::kPromiseInBounds);
}

Tensor resize(const Tensor& x, const Shape& shape) {
  const int64_t wanted = element_count(shape);
  if (wanted == 0) return zeros(shape, x.dtype());
  if (x.size() == 0)
    fail<ShapeError>("resize: {} has no elements to fill {} with", to_string(x.type()),
                     to_string(shape));
  const int64_t times = (wanted + x.size() - 1) / x.size();
  return reshape(slice_axis(tile(ravel(x), {times}), 0, wanted, 0), shape);
}

Tensor rot90(const Tensor& x, int64_t k, std::pair<int64_t, int64_t> axes) {
  const auto [first, second] = axes;
  if (positive(first, x) == positive(second, x))
    fail<ValueError>("rot90: expected two axes, got {} twice", first);
  switch (((k % 4) + 4) % 4) {
    case 0:
      return x;
    case 1:
      return swapaxes(flip(x, {second}), first, second);
    case 2:
      return flip(x, {first, second});
  }
  return flip(swapaxes(x, first, second), {second});
}
Tensor fliplr(const Tensor& x) { return flip(x, {1}); }
Tensor flipud(const Tensor& x) { return flip(x, {0}); }

Tensor roll(const Tensor& x, int64_t shift) { return reshape(roll(ravel(x), shift, 0), x.shape()); }
Tensor roll(const Tensor& x, const std::vector<int64_t>& shifts, const Axes& axes) {
  if (shifts.size() != axes.size())
    fail<ValueError>("roll: {} shifts were given for {} axes", shifts.size(), axes.size());
  Tensor y = x;
  for (size_t i = 0; i < shifts.size(); ++i) y = roll(y, shifts[i], axes[i]);
  return y;
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2) {
  const int64_t first = positive(axis1, x), second = positive(axis2, x);
  if (x.rank() < 2 || first == second)
    fail<ShapeError>("diagonal: expected two axes of {}, got {} and {}", to_string(x.type()), axis1,
                     axis2);
  // [rows, columns, ...] with both in front.
  const Tensor front = moveaxis(moveaxis(x, second, 0), first < second ? first + 1 : first, 0);
  const int64_t rows = front.shape(0), columns = front.shape(1);
  std::vector<int32_t> at;
  for (int64_t i = std::max<int64_t>(-offset, 0); i < rows && i + offset < columns; ++i)
    at.push_back(static_cast<int32_t>(i * columns + i + offset));
  Shape flat{rows * columns};
  flat.append(front.shape().begin() + 2, front.shape().end());
  return moveaxis(take(reshape(front, flat), from_positions(at), 0, GatherMode::kPromiseInBounds),
                  0, -1);
}
Tensor trace(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2) {
  return sum(diagonal(x, offset, axis1, axis2), -1);
}
Tensor diagflat(const Tensor& x, int64_t k) { return diag(ravel(x), k); }

Tensor fill_diagonal(const Tensor& x, const Tensor& value) {
  if (x.rank() != 2)
    fail<ShapeError>("fill_diagonal: expected a matrix, got {}", to_string(x.type()));
  const int64_t m = x.shape(0), n = x.shape(1), length = std::min(m, n);
  const Tensor line = broadcast_to(astype(value, x.dtype()), {length});
  const Tensor rows = expand_dims(pad(line, {{.high = m - length}}), 1);
  return where(eye(m, n, 0, DType::kBool), rows, x);
}

std::pair<Tensor, Tensor> tril_indices(int64_t n, int64_t k, int64_t m) {
  return triangle(n, k, m, true);
}
std::pair<Tensor, Tensor> triu_indices(int64_t n, int64_t k, int64_t m) {
  return triangle(n, k, m, false);
}

std::vector<Tensor> indices(const Shape& shape, DType dtype) {
  std::vector<Tensor> out;
  for (size_t d = 0; d < shape.size(); ++d)
    out.push_back(iota(dtype, shape, static_cast<int64_t>(d)));
  return out;
}

Tensor ravel_multi_index(const std::vector<Tensor>& coordinates, const Shape& shape) {
  if (coordinates.size() != shape.size() || shape.empty())
    fail<ShapeError>("ravel_multi_index: {} coordinates were given for {}", coordinates.size(),
                     to_string(shape));
  Tensor out = clip(coordinates[0], 0, shape[0] - 1);
  for (size_t d = 1; d < shape.size(); ++d)
    out = out * shape[d] + clip(coordinates[d], 0, shape[d] - 1);
  return out;
}

Tensor vander(const Tensor& x, int64_t n, bool increasing) {
  if (x.rank() != 1) fail<ShapeError>("vander: expected a vector, got {}", to_string(x.type()));
  const int64_t count = n < 0 ? x.size() : n;
  std::vector<Tensor> columns{ones_like(x)};
  for (int64_t i = 1; i < count; ++i) columns.push_back(columns.back() * x);
  if (count == 0) return zeros({x.size(), 0}, x.dtype());
  if (!increasing) std::reverse(columns.begin(), columns.end());
  return stack(columns, 1);
}

Tensor logspace(double start, double stop, int64_t count, double base, DType dtype) {
  return astype(pow(Tensor(base), linspace(start, stop, count, DType::kF64)), dtype);
}
Tensor geomspace(double start, double stop, int64_t count, DType dtype) {
  if (!(start * stop > 0))
    fail<ValueError>("geomspace: expected numbers of one sign, got {} and {}", start, stop);
  const Tensor size =
      exp(linspace(std::log(std::abs(start)), std::log(std::abs(stop)), count, DType::kF64));
  return astype(start < 0 ? neg(size) : size, dtype);
}

}  // namespace linnet
