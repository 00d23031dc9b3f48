// Creation, shapes and edges of linnet/numpy.h.
#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/numpy.h"

namespace linnet {

Tensor tri(int64_t n, int64_t m, int64_t k, DType dtype) {
  return tril(ones({n, m < 0 ? n : m}, dtype), k);
}
Tensor identity(int64_t n, DType dtype) { return eye(n, -1, 0, dtype); }

Tensor diag(const Tensor& x, int64_t k) {
  if (x.rank() == 1) {
    const int64_t n = x.size() + std::abs(k);
    // x[i] on the row that begins the diagonal, so that a zero times infinity is never met.
    const Tensor rows =
        pad(x, {{.low = std::max<int64_t>(-k, 0), .high = std::max<int64_t>(k, 0)}});
    return where(astype(eye(n, n, k), DType::kBool), expand_dims(rows, 1), scalar(0, x.dtype()));
  }
  if (x.rank() != 2) {
    fail<ShapeError>("diag: expected a vector or a matrix, got {}", to_string(x.type()));
  }
  const int64_t row = std::max<int64_t>(-k, 0), column = std::max<int64_t>(k, 0);
  const int64_t length = std::max<int64_t>(std::min(x.shape(0) - row, x.shape(1) - column), 0);
  const Tensor position =
      (iota(DType::kI32, {length}) + row) * x.shape(1) + (iota(DType::kI32, {length}) + column);
  return length == 0 ? zeros({0}, x.dtype()) : take(ravel(x), position);
}

std::vector<Tensor> meshgrid(const std::vector<Tensor>& axes, bool matrix_indexing) {
  const size_t n = axes.size();
  std::vector<Tensor> out;
  Shape shape(n, 1);
  const auto place = [&](size_t i) { return !matrix_indexing && n > 1 && i < 2 ? 1 - i : i; };
  for (size_t i = 0; i < n; ++i) shape[place(i)] = axes[i].size();
  for (size_t i = 0; i < n; ++i)
    out.push_back(broadcast_in_dim(ravel(axes[i]), shape, {static_cast<int64_t>(place(i))}));
  return out;
}

std::vector<Tensor> unravel_index(const Tensor& positions, const Shape& shape) {
  std::vector<Tensor> out(shape.size());
  Tensor rest = positions;
  for (size_t d = shape.size(); d-- > 0;) {
    const Tensor size = scalar_integer(shape[d], positions.dtype());
    out[d] = mod(rest, size);
    rest = floor_divide(rest, size);
  }
  return out;
}

std::vector<Tensor> broadcast_arrays(const std::vector<Tensor>& tensors) {
  Shape shape;
  for (const Tensor& x : tensors) shape = broadcast_shapes("broadcast_arrays", shape, x.shape());
  std::vector<Tensor> out;
  for (const Tensor& x : tensors) out.push_back(broadcast_to(x, shape));
  return out;
}

std::vector<Tensor> array_split(const Tensor& x, int64_t sections, int64_t axis) {
  if (sections < 1) fail<ValueError>("array_split: expected at least 1 section, got {}", sections);
  const int64_t size = x.shape(axis), shorter = size / sections, longer = size % sections;
  std::vector<Tensor> out;
  for (int64_t i = 0, begin = 0; i < sections; ++i) {
    const int64_t end = begin + shorter + (i < longer ? 1 : 0);
    out.push_back(slice_axis(x, begin, end, axis));
    begin = end;
  }
  return out;
}

Tensor repeat(const Tensor& x, const Tensor& repeats, int64_t axis, int64_t total) {
  if (repeats.rank() != 1 || repeats.size() != x.shape(axis)) {
    fail<ShapeError>("repeat: expected {} numbers of repetitions along axis {} of {}, got {}",
                     x.shape(axis), axis, to_string(x.type()), to_string(repeats.type()));
  }
  const Tensor ends = cumsum(astype(repeats, DType::kI32), 0);
  return take(x, searchsorted(ends, iota(DType::kI32, {total}), true), axis, GatherMode::kClip);
}

namespace {

/// The element of an axis of `n` that lies at position `i` of what `mode` continues it to.
int64_t source_of(int64_t i, int64_t n, PadMode mode) {
  const auto within = [](int64_t a, int64_t period) { return ((a % period) + period) % period; };
  if (mode == PadMode::kEdge) return std::clamp<int64_t>(i, 0, n - 1);
  if (mode == PadMode::kWrap) return within(i, n);
  const bool reflect = mode == PadMode::kReflect;
  const int64_t period = reflect ? std::max<int64_t>(2 * (n - 1), 1) : 2 * n;
  const int64_t at = within(i, period);
  return at < n ? at : (reflect ? period - at : period - 1 - at);
}

Tensor continued(const Tensor& x, int64_t axis, int64_t low, int64_t high, PadMode mode) {
  std::vector<int32_t> source;
  for (int64_t i = -low; i < x.shape(axis) + high; ++i)
    source.push_back(static_cast<int32_t>(source_of(i, x.shape(axis), mode)));
  const int64_t count = static_cast<int64_t>(source.size());
  return take(x, from_vector(source, {count}), axis, GatherMode::kPromiseInBounds);
}

/// `count` numbers along an axis: from the outer element, which is not among them, to 0.
Tensor ramp(const Tensor& x, int64_t axis, int64_t count, bool low) {
  const Tensor outer = slice_axis(x, low ? 0 : x.shape(axis) - 1, low ? 1 : x.shape(axis), axis);
  Shape shape(x.rank(), 1);
  shape[static_cast<size_t>(axis)] = count;
  Tensor share = astype(iota(DType::kI32, shape, axis), DType::kF32) / std::max<int64_t>(count, 1);
  if (!low) share = flip(share, {axis});
  const Tensor y =
      outer * astype(share, is_inexact(x.dtype()) ? real_dtype_of(x.dtype()) : DType::kF32);
  return astype(y, x.dtype());
}

Tensor edge_of(const Tensor& x, int64_t axis, int64_t count, bool low, PadMode mode) {
  if (mode == PadMode::kLinearRamp) return ramp(x, axis, count, low);
  const Tensor value = mode == PadMode::kMaximum   ? max(x, Axes{axis}, true)
                       : mode == PadMode::kMinimum ? min(x, Axes{axis}, true)
                                                   : mean(x, Axes{axis}, true);
  // Means of integers are rounded.
  const Tensor typed =
      is_inexact(x.dtype()) || mode != PadMode::kMean ? value : astype(round(value), x.dtype());
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = count;
  return broadcast_to(astype(typed, x.dtype()), shape);
}

}  // namespace

Tensor pad(const Tensor& x, const std::vector<std::pair<int64_t, int64_t>>& edges, PadMode mode) {
  if (edges.size() != x.rank()) {
    fail<ShapeError>("pad: expected edges of {} dimensions for {}, got {}", x.rank(),
                     to_string(x.type()), edges.size());
  }
  Tensor y = x;
  for (size_t d = 0; d < edges.size(); ++d) {
    const auto [low, high] = edges[d];
    const int64_t axis = static_cast<int64_t>(d);
    if (low == 0 && high == 0) continue;
    if (low < 0 || high < 0 || x.shape(axis) == 0) {
      fail<ShapeError>(
          "pad: expected edges of at least 0 and elements to fill them from, got {} and {} in "
          "dimension {} of {}",
          low, high, d, to_string(x.type()));
    }
    y = mode <= PadMode::kWrap ? continued(y, axis, low, high, mode)
                               : concatenate({edge_of(y, axis, low, true, mode), y,
                                              edge_of(y, axis, high, false, mode)},
                                             axis);
  }
  return y;
}

}  // namespace linnet
