// Picking, order and sets of linnet/numpy_arrays.h.
#include "linnet/detail/format.h"
#include "linnet/numpy.h"
#include "linnet/numpy_arrays.h"

namespace linnet {
namespace {

/// Zeros for all axes but one.
std::vector<Tensor> starts_at(const Tensor& x, const Tensor& start, int64_t axis) {
  const int64_t rank = static_cast<int64_t>(x.rank()), at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank) fail<ShapeError>("axis {} is not one of {}", axis, to_string(x.type()));
  std::vector<Tensor> out(x.rank(), scalar_integer(0, DType::kI32));
  out[static_cast<size_t>(at)] = start;
  return out;
}

Tensor wrapped(const Tensor& index, int64_t size) { return where(index < 0, index + size, index); }

/// The first `size` of the ascending `sorted` that are marked.
Tensor chosen(const Tensor& sorted, const Tensor& marked, int64_t size, const Tensor& fill) {
  const Tensor at = flatnonzero(marked, size);
  const Tensor there = iota(DType::kI32, {size}) < count_nonzero(marked);
  return where(there, take(sorted, at, 0, GatherMode::kClip), astype(fill, sorted.dtype()));
}

/// Each element that differs from the one before it.
Tensor firsts(const Tensor& sorted) {
  const int64_t n = sorted.size();
  return concatenate({ones({1}, DType::kBool),
                      not_equal(slice_axis(sorted, 1, n, 0), slice_axis(sorted, 0, n - 1, 0))});
}

}  // namespace

Tensor dynamic_slice_in_dim(const Tensor& x, const Tensor& start, int64_t size, int64_t axis) {
  const std::vector<Tensor> starts = starts_at(x, start, axis);
  Shape sizes = x.shape();
  sizes[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(x.rank()) : axis)] = size;
  return dynamic_slice(x, starts, sizes);
}
Tensor dynamic_index_in_dim(const Tensor& x, const Tensor& index, int64_t axis, bool keepdims) {
  const Tensor one = dynamic_slice_in_dim(x, index, 1, axis);
  return keepdims ? one : squeeze(one, Axes{axis});
}
Tensor dynamic_update_slice_in_dim(const Tensor& x, const Tensor& update, const Tensor& start,
                                   int64_t axis) {
  return dynamic_update_slice(x, update, starts_at(x, start, axis));
}

Tensor select_n(const Tensor& which, const std::vector<Tensor>& cases) {
  if (cases.empty()) fail<ValueError>("select_n: no cases were given");
  const Tensor number = which.dtype() == DType::kBool ? astype(which, DType::kI32) : which;
  Tensor out = cases.back();
  for (size_t i = cases.size() - 1; i-- > 0;)
    out = where(number <= static_cast<int64_t>(i), cases[i], out);
  return out;
}

Tensor put_along_axis(const Tensor& x, const Tensor& indices, const Tensor& values, int64_t axis) {
  if (indices.rank() != x.rank())
    fail<ShapeError>("put_along_axis: expected indices of as many dimensions as {}, got {}",
                     to_string(x.type()), to_string(indices.type()));
  const int64_t at = axis < 0 ? axis + static_cast<int64_t>(x.rank()) : axis;
  const Tensor own = wrapped(indices, x.shape(at));
  const Tensor outside = logical_or(own < 0, own >= x.shape(at));
  Tensor position = scalar_integer(0, DType::kI32);
  for (int64_t d = 0; d < static_cast<int64_t>(x.rank()); ++d) {
    const Tensor here = d == at ? own : iota(DType::kI32, indices.shape(), d);
    position = position * x.shape(d) + here;
  }
  position = where(outside, x.size(), position);
  const Tensor flat = ravel(broadcast_to(astype(values, x.dtype()), indices.shape()));
  return reshape(index_set(ravel(x), ravel(position), flat), x.shape());
}

Tensor flatnonzero(const Tensor& x, int64_t size, int64_t fill) {
  return nonzero(ravel(x), size, fill)[0];
}
Tensor argwhere(const Tensor& x, int64_t size, int64_t fill) {
  return x.rank() == 0 ? zeros({size, 0}, DType::kI32) : stack(nonzero(x, size, fill), 1);
}

Tensor lexsort(const std::vector<Tensor>& keys) {
  if (keys.empty()) fail<ValueError>("lexsort: no keys were given");
  Tensor order = argsort(keys[0], 0);
  for (size_t i = 1; i < keys.size(); ++i) order = take(order, argsort(take(keys[i], order), 0));
  return order;
}

Tensor cummin(const Tensor& x, int64_t axis, bool reverse) {
  // The complement reverses the order of integers, of which the least has no negative.
  return is_floating(x.dtype()) ? neg(cummax(neg(x), axis, reverse))
                                : bitwise_not(cummax(bitwise_not(x), axis, reverse));
}

Tensor diff(const Tensor& x, int64_t n, int64_t axis) {
  if (n < 0) fail<ValueError>("diff: expected a number of times, got {}", n);
  Tensor y = x;
  for (; n > 0; --n) {
    const int64_t size = y.shape(axis);
    if (size == 0) return y;
    const Tensor after = slice_axis(y, 1, size, axis), before = slice_axis(y, 0, size - 1, axis);
    y = x.dtype() == DType::kBool ? not_equal(after, before) : after - before;
  }
  return y;
}

Tensor isin(const Tensor& x, const Tensor& of) {
  const auto [a, b] = std::pair(expand_dims(ravel(x), 1), expand_dims(ravel(of), 0));
  return reshape(any(equal(a, b), Axes{1}), x.shape());
}

Tensor union1d(const Tensor& a, const Tensor& b, int64_t size, const Tensor& fill) {
  return unique(append(a, b), size, fill).values;
}

Tensor intersect1d(const Tensor& a, const Tensor& b, int64_t size, const Tensor& fill) {
  const DType dtype = promote_types(a.dtype(), b.dtype());
  if (a.size() == 0 || b.size() == 0) return full({size}, fill.defined() ? fill : Tensor(0), dtype);
  const Tensor sorted = sort(astype(ravel(a), dtype), 0);
  const Tensor marked = logical_and(firsts(sorted), isin(sorted, b));
  // The first that is in both, or the least of all.
  const Tensor least = where(any(marked), take(sorted, argmax(astype(marked, DType::kI32))),
                             minimum(sorted[0], min(astype(b, dtype))));
  return chosen(sorted, marked, size, fill.defined() ? fill : least);
}

Tensor setdiff1d(const Tensor& a, const Tensor& b, int64_t size, const Tensor& fill) {
  if (a.size() == 0) return full({size}, fill, a.dtype());
  const Tensor sorted = sort(ravel(a), 0);
  return chosen(sorted, logical_and(firsts(sorted), logical_not(isin(sorted, b))), size, fill);
}

}  // namespace linnet
