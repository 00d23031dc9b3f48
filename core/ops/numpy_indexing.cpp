// Indexing and order of linnet/numpy.h.
#include <algorithm>
#include <bit>

#include "linnet/detail/format.h"
#include "linnet/numpy.h"

namespace linnet {

Tensor slice_step(const Tensor& x, std::optional<int64_t> start, std::optional<int64_t> stop,
                  int64_t step, int64_t axis) {
  if (step == 0) fail<ValueError>("slice_step: the step must not be 0");
  const int64_t size = x.shape(axis);
  const auto bounded = [&](int64_t i, int64_t low, int64_t high) {
    return std::clamp(i < 0 ? i + size : i, low, high);
  };
  if (step > 0) {
    const int64_t from = start ? bounded(*start, 0, size) : 0;
    const int64_t to = std::max(from, stop ? bounded(*stop, 0, size) : size);
    std::vector<int64_t> begin(x.rank(), 0), end(x.shape().begin(), x.shape().end()),
        strides(x.rank(), 1);
    const size_t d = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(x.rank()) : axis);
    begin[d] = from;
    end[d] = to;
    strides[d] = step;
    return slice(x, begin, end, strides);
  }
  // Counted from the end of the flipped axis.
  const int64_t from = start ? bounded(*start, -1, size - 1) : size - 1;
  const int64_t to = stop ? bounded(*stop, -1, size - 1) : -1;
  return slice_step(flip(x, {axis}), size - 1 - from, std::max(size - 1 - to, size - 1 - from),
                    -step, axis);
}

Tensor boolean_mask(const Tensor& x, const Tensor& mask) {
  if (mask.dtype() != DType::kBool)
    fail<DTypeError>("boolean_mask: expected a mask of bools, got {}", to_string(mask.type()));
  if (mask.traced()) {
    fail<TraceError>(
        "boolean_mask: the size of the result depends on the mask, which is traced\n  hint: use "
        "where, or nonzero with a size");
  }
  if (mask.rank() > x.rank() ||
      !std::equal(mask.shape().begin(), mask.shape().end(), x.shape().begin())) {
    fail<ShapeError>("boolean_mask: the mask {} does not have the shape of leading axes of {}",
                     to_string(mask.type()), to_string(x.type()));
  }
  std::vector<int32_t> chosen;
  const std::vector<int> values = mask.to_vector<int>();
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i]) chosen.push_back(static_cast<int32_t>(i));
  Shape shape{mask.size()};
  shape.append(x.shape().begin() + mask.rank(), x.shape().end());
  const int64_t count = static_cast<int64_t>(chosen.size());
  const Tensor rows = reshape(x, shape);
  return count == 0 ? slice_axis(rows, 0, 0, 0) : take(rows, from_vector(chosen, {count}));
}

Tensor select(const std::vector<Tensor>& conditions, const std::vector<Tensor>& choices,
              const Tensor& otherwise) {
  if (conditions.size() != choices.size()) {
    fail<ValueError>("select: {} conditions were given for {} choices", conditions.size(),
                     choices.size());
  }
  Tensor out = otherwise;
  for (size_t i = choices.size(); i-- > 0;) out = where(conditions[i], choices[i], out);
  return out;
}

Tensor choose(const Tensor& index, const std::vector<Tensor>& choices) {
  std::vector<Tensor> all = choices;
  all.push_back(index);
  all = broadcast_arrays(all);
  const Tensor at = expand_dims(all.back(), 0);
  all.pop_back();
  const Tensor clamped = clip(at, 0, static_cast<int64_t>(all.size()) - 1);
  return squeeze(take_along_axis(stack(all), clamped, 0), Axes{0});
}

namespace {

/// [size]: numbers[i] at places[i] of those that are marked; `fill` elsewhere.
Tensor gathered(const Tensor& numbers, const Tensor& places, const Tensor& marked, int64_t size,
                const Tensor& fill) {
  const Tensor target = where(marked, places, scalar_integer(size, DType::kI32));
  return index_set(full({size}, fill, numbers.dtype()), target, numbers);
}

/// The position of every marked element among the marked.
Tensor places_of(const Tensor& marked) { return cumsum(astype(marked, DType::kI32), 0) - 1; }

}  // namespace

std::vector<Tensor> nonzero(const Tensor& x, int64_t size, int64_t fill) {
  const Tensor marked = not_equal(ravel(x), 0), places = places_of(marked);
  std::vector<Tensor> out;
  for (const Tensor& at : unravel_index(iota(DType::kI32, {x.size()}), x.shape()))
    out.push_back(gathered(at, places, marked, size, scalar_integer(fill, DType::kI32)));
  return out;
}

Tensor count_nonzero(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return sum(astype(not_equal(x, 0), DType::kI32), axes, keepdims);
}

TopK top_k(const Tensor& x, int64_t k, int64_t axis) {
  const int64_t size = x.shape(axis);
  if (k < 0 || k > size) {
    fail<ValueError>("top_k: expected from 0 to {} elements of axis {} of {}, got {}", size, axis,
                     to_string(x.type()), k);
  }
  // Ascending and stable from the end: descending, and of equal ones the first.
  const Tensor order = flip(argsort(flip(x, {axis}), axis), {axis});
  const Tensor indices = size - 1 - slice_axis(order, 0, k, axis);
  return {take_along_axis(x, indices, axis, GatherMode::kPromiseInBounds), indices};
}

Unique unique(const Tensor& x, int64_t size, const Tensor& fill) {
  const Tensor flat = ravel(x), order = argsort(flat, 0), sorted = take(flat, order);
  const int64_t n = flat.size();
  if (n == 0) fail<ShapeError>("unique: expected elements, got {}", to_string(x.type()));
  const Tensor a = slice_axis(sorted, 0, n - 1, 0), b = slice_axis(sorted, 1, n, 0);
  const Tensor same = is_floating(x.dtype())
                          ? logical_or(equal(a, b), logical_and(is_nan(a), is_nan(b)))
                          : equal(a, b);
  const Tensor first = concatenate({ones({1}, DType::kBool), logical_not(same)});
  const Tensor places = places_of(first);
  const Tensor zero = scalar_integer(0, DType::kI32);
  return {gathered(sorted, places, first, size, fill.defined() ? fill : sorted[0]),
          gathered(order, places, first, size, zero),
          index_set(zeros({n}, DType::kI32), order, places), bincount(places, size)};
}

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right) {
  if (sorted.rank() != 1) {
    fail<ShapeError>("searchsorted: expected a sorted vector, got {}", to_string(sorted.type()));
  }
  const auto [all, wanted] = std::pair{sorted, values};
  const auto before = [right](const Tensor& element, const Tensor& value) {
    // NaN is the largest.
    const auto less = [](const Tensor& a, const Tensor& b) {
      return is_floating(b.dtype())
                 ? logical_or(a < b, logical_and(is_nan(b), logical_not(is_nan(a))))
                 : a < b;
    };
    return right ? logical_not(less(value, element)) : less(element, value);
  };
  const int64_t n = sorted.size();
  Tensor low = zeros(values.shape(), DType::kI32), high = full(values.shape(), n, DType::kI32);
  // As many halvings as make [0, n] one position.
  const int steps = std::bit_width(static_cast<uint64_t>(n));
  for (int i = 0; i < steps; ++i) {
    const Tensor open = low < high, middle = floor_divide(low + high, 2);
    const Tensor element = take(all, middle, 0, GatherMode::kClip);
    const Tensor up = logical_and(open, before(element, wanted));
    const Tensor down = logical_and(open, logical_not(up));
    low = where(up, middle + 1, low);
    high = where(down, middle, high);
  }
  return low;
}

Tensor bincount(const Tensor& x, int64_t length, const Tensor& weights) {
  if (!is_integer(x.dtype()))
    fail<DTypeError>("bincount: expected integers, got {}", to_string(x.type()));
  const Tensor at = maximum(ravel(x), 0);
  if (!weights.defined()) {
    return index_add(zeros({length}, DType::kI32), at, scalar_integer(1, DType::kI32));
  }
  return index_add(zeros({length}, weights.dtype()), at, broadcast_to(ravel(weights), at.shape()));
}

Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> axis) {
  const Tensor real = is_inexact(x.dtype()) ? x : astype(x, DType::kF32);
  const Tensor lines = axis ? moveaxis(real, *axis, 0) : ravel(real);
  const int64_t n = lines.shape(0);
  if (n == 0 || q.rank() > 1) {
    fail<ShapeError>("quantile: expected elements, and quantiles of rank 0 or 1, got {} and {}",
                     to_string(x.type()), to_string(q.type()));
  }
  const Tensor sorted = sort(lines, 0);
  const Tensor position = astype(q, real.dtype()) * static_cast<double>(n - 1);
  const Tensor low = clip(floor(position), 0, n - 1), high = clip(ceil(position), 0, n - 1);
  const auto at = [&](const Tensor& p) {
    return take(sorted, astype(p, DType::kI32), 0, GatherMode::kClip);
  };
  Shape shape = q.shape();
  for (size_t d = 1; d < lines.rank(); ++d) shape.push_back(1);
  const Tensor share = reshape(position - low, shape);
  const Tensor value = at(low) * (1 - share) + at(high) * share;
  return where(any(is_nan(lines), Axes{0}), NAN, value);
}

Tensor median(const Tensor& x, std::optional<int64_t> axis) { return quantile(x, 0.5, axis); }

}  // namespace linnet
