// Integers, truth values, orders and choices (docs/rng.md sections 5.2 and 5.3).
#include <algorithm>
#include <cmath>

#include "core/random/sampling.h"
#include "linnet/detail/format.h"

namespace linnet::random {

Tensor bernoulli(const Key& key, const Tensor& p, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({p});
  const Shape out = sample_shape("bernoulli", shape, {p});
  return less(uniform(key, out, dtype), parameter(p, dtype));
}

Tensor rademacher(const Key& key, const Shape& shape, DType dtype) {
  return 2 * astype(bernoulli(key, 0.5, shape), dtype) - 1;
}

namespace {

/// `x` moved into [min, max] of an integer dtype plus `beyond` at the upper end, as i64 (u64 for
/// u64).
Tensor clipped(const Tensor& x, DType dtype, int64_t beyond) {
  const IntInfo info = iinfo(dtype);
  const uint64_t most = info.max + static_cast<uint64_t>(beyond);
  if (x.dtype() == DType::kU64)
    return minimum(x, scalar_integer(static_cast<int64_t>(most), DType::kU64));
  const Tensor wide = maximum(astype(x, DType::kI64), scalar_integer(info.min, DType::kI64));
  if (dtype == DType::kU64) return wide;
  return minimum(wide, scalar_integer(static_cast<int64_t>(most), DType::kI64));
}

/// Where `x` is above the largest number of `dtype`.
Tensor above(const Tensor& x, DType dtype) {
  const uint64_t most = iinfo(dtype).max;
  if (iinfo(x.dtype()).max <= most) return Tensor(false);
  const DType wide = x.dtype() == DType::kU64 ? DType::kU64 : DType::kI64;
  return greater(astype(x, wide), scalar_integer(static_cast<int64_t>(most), wide));
}

}  // namespace

Tensor randint(const Key& key, const Shape& shape, const Tensor& low, const Tensor& high,
               DType dtype) {
  for (const Tensor* bound : {&low, &high}) {
    if (!is_integer(bound->dtype())) {
      fail<DTypeError>("randint: expected integer bounds, got {}", to_string(bound->type()));
    }
  }
  if (!is_integer(dtype))
    fail<DTypeError>("randint: expected an integer dtype, got {}", name_of(dtype));
  sample_shape("randint", shape, {low, high});
  const bool narrow = size_of(dtype) < 4;
  const DType drawn = narrow ? DType::kI32 : dtype;
  const DType word = size_of(drawn) == 8 ? DType::kU64 : DType::kU32;
  const Tensor from = astype(clipped(low, dtype, 0), drawn);
  const Tensor to = astype(clipped(high, dtype, narrow ? 1 : 0), drawn);
  const Tensor some = greater(to, from);

  const Tensor first = astype(from, word);
  Tensor span = where(some, astype(to, word) - first, scalar_integer(1, word));
  // The whole range of the dtype has 2^w numbers, which wraps to 0; and x rem 0 is x.
  if (!narrow) span = span + astype(logical_and(above(high, dtype), some), word);
  Tensor factor = rem(scalar_integer(int64_t{1} << (size_of(word) * 4), word), span);
  factor = rem(factor * factor, span);
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor upper = bits(keys[0], shape, word), lower = bits(keys[1], shape, word);
  const Tensor offset = rem(rem(upper, span) * factor + rem(lower, span), span);
  return astype(astype(first + offset, drawn), dtype);
}

namespace {

/// `x` in random order along `axis`, each line on its own. The number of rounds makes equal keys in
/// all of them improbable.
Tensor shuffled(Key key, Tensor x, int64_t axis) {
  const double size = static_cast<double>(std::max<int64_t>(1, x.size()));
  const int rounds = static_cast<int>(std::ceil(3 * std::log(size) / std::log(4294967295.0)));
  for (int round = 0; round < rounds; ++round) {
    const std::vector<Key> keys = subkeys(key, 2);
    key = keys[0];
    x = take_along_axis(x, argsort(bits(keys[1], x.shape()), axis), axis,
                        GatherMode::kPromiseInBounds);
  }
  return x;
}

}  // namespace

Tensor permutation(const Key& key, int64_t count) {
  if (count < 0) fail<ValueError>("permutation: the count must not be negative, got {}", count);
  require_single_key("permutation", key);
  return shuffled(key, arange(count), 0);
}

Tensor permutation(const Key& key, const Tensor& x, int64_t axis, bool independent) {
  require_single_key("permutation", key);
  if (x.rank() == 0) {
    fail<ShapeError>(
        "permutation: expected at least one dimension, got {}\n  hint: permutation(key, count) "
        "with a "
        "plain number gives a random order of 0 … count-1",
        to_string(x.type()));
  }
  const int64_t along = normalize_axis(axis, x.rank(), "permutation");
  if (independent || x.rank() == 1) return shuffled(key, x, along);
  return take(x, permutation(key, x.shape(along)), along, GatherMode::kPromiseInBounds);
}

namespace {

/// For each of `values`, how many of the ascending `edges` are less. By ranks: the rank of a value
/// among all minus its rank among the values.
Tensor count_less(const Tensor& edges, const Tensor& values) {
  const auto ranks = [](const Tensor& x) { return argsort(argsort(x)); };
  const Tensor among_all = ranks(concatenate({values, edges}));
  return slice_axis(among_all, 0, values.size(), 0) - ranks(values);
}

Tensor choose_positions(const Key& key, int64_t n, const Shape& shape, bool replace,
                        const Tensor& p) {
  const int64_t count = element_count(shape);
  if (count == 0) return zeros(shape, DType::kI32);
  if (!p.defined()) {
    if (replace) return randint(key, shape, 0, n);
    return reshape(slice_axis(permutation(key, n), 0, count, 0), shape);
  }
  if (replace) {
    const Tensor total = cumsum(p, 0);
    const Tensor r = index_axis(total, n - 1, 0) * (1 - uniform(key, {count}, p.dtype()));
    return reshape(count_less(total, r), shape);
  }
  const Tensor scores = gumbel(key, {n}, p.dtype()) + log(p);
  return reshape(slice_axis(argsort(neg(scores)), 0, count, 0), shape);
}

}  // namespace

Tensor choice(const Key& key, const Tensor& x, const Shape& shape, bool replace, const Tensor& p,
              int64_t axis) {
  require_single_key("choice", key);
  const bool counted = x.rank() == 0;
  const int64_t along = counted ? 0 : normalize_axis(axis, x.rank(), "choice");
  if (counted && !is_integer(x.dtype())) {
    fail<DTypeError>("choice: expected a tensor to choose from or an integer count, got {}",
                     to_string(x.type()));
  }
  const int64_t n = counted ? x.item<int64_t>() : x.shape(along);
  if (n <= 0 && element_count(shape) > 0)
    fail<ValueError>("choice: there is nothing to choose from");
  if (!replace && element_count(shape) > n) {
    fail<ValueError>("choice: cannot take {} of {} without replacement", element_count(shape), n);
  }
  if (p.defined() && (p.rank() != 1 || p.shape(0) != n)) {
    fail<ShapeError>("choice: expected {} probabilities, got {}", n, to_string(p.type()));
  }
  const Tensor weights = p.defined() ? parameter(p, sample_dtype({p})) : p;
  const Tensor positions = choose_positions(key, n, shape, replace, weights);
  return counted ? positions : take(x, positions, along, GatherMode::kPromiseInBounds);
}

Tensor gumbel(const Key& key, const Shape& shape, DType dtype) {
  return neg(log(neg(log(uniform(key, shape, dtype, scalar(finfo(dtype).tiny, dtype), 1)))));
}

namespace {

/// The batch shape of a result of `shape`, split off its prefix.
Shape prefix_of(const Shape& shape, const Shape& batch) {
  if (shape.size() < batch.size() ||
      !std::equal(batch.begin(), batch.end(), shape.end() - batch.size())) {
    fail<ShapeError>("categorical: expected a shape that ends in the batch shape {}, got {}",
                     to_string(batch), to_string(shape));
  }
  return Shape(shape.begin(), shape.end() - batch.size());
}

}  // namespace

Tensor categorical(const Key& key, const Tensor& logits, int64_t axis,
                   const std::optional<Shape>& shape, bool replace) {
  require_single_key("categorical", key);
  const DType dtype = sample_dtype({logits});
  const Tensor scores = parameter(logits, dtype);
  const int64_t along = normalize_axis(axis, logits.rank(), "categorical");
  Shape batch = logits.shape();
  batch.erase(static_cast<size_t>(along));
  const Shape prefix = prefix_of(shape.value_or(batch), batch);
  if (replace) {
    Shape drawn = prefix;
    drawn.append(logits.shape().begin(), logits.shape().end());
    return argmax(gumbel(key, drawn, dtype) + scores, along - static_cast<int64_t>(logits.rank()));
  }
  const int64_t count = element_count(prefix);
  if (count > logits.shape(along)) {
    fail<ValueError>("categorical: cannot take {} of {} categories without replacement", count,
                     logits.shape(along));
  }
  const Tensor order = argsort(neg(gumbel(key, logits.shape(), dtype) + scores), along);
  Shape out = prefix;
  out.append(batch.begin(), batch.end());
  return reshape(moveaxis(slice_axis(order, 0, count, along), along, 0), out);
}

}  // namespace linnet::random
