// Binomial and multinomial counts, by loops that all elements run in step (docs/rng.md
// section 5.6).
#include <tuple>

#include "core/random/sampling.h"
#include "linnet/control_flow.h"
#include "linnet/detail/format.h"

namespace linnet::random {
namespace {

/// log(x!) less Stirling's formula for it.
Tensor stirling_remainder(const Tensor& x) {
  const Tensor table = astype(
      tensor({0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
              0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
              0.00925546218271273, 0.00833056343336287}),
      x.dtype());
  const Tensor next = x + 1, square = next * next;
  const Tensor series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / next;
  return where(x <= 9, take(table, astype(clip(x, 0, 9), DType::kI32)), series);
}

/// Counts how many geometric numbers fit into n, for n q that is small.
Tensor by_inversion(const Key& key, const Tensor& n, const Tensor& q) {
  using Carry = std::tuple<Tensor, Tensor, Key>;
  const Tensor none = zeros_like(n), log_failure = log1p(-q);
  const auto fits = [&](const Carry& at) { return any(std::get<1>(at) <= n); };
  const auto next = [&](const Carry& at) {
    const auto& [count, sum, stream] = at;
    const std::vector<Key> keys = subkeys(stream, 2);
    const Tensor geometric = ceil(log(uniform(keys[0], n.shape(), n.dtype())) / log_failure);
    return Carry(where(sum <= n, count + 1, count), sum + geometric, keys[1]);
  };
  return std::get<0>(while_loop(fits, next, Carry(none, none, key))) - 1;
}

/// Transformed rejection (Hoermann 1993, algorithm BTRS), whose constants depend on n and q.
class Rejection {
 public:
  Rejection(const Tensor& n, const Tensor& q) : n_(n), q_(q) {
    const Tensor deviation = sqrt(n * q * (1 - q));
    b_ = 1.15 + 2.53 * deviation;
    a_ = -0.0873 + 0.0248 * b_ + 0.01 * q;
    c_ = n * q + 0.5;
    v_ = 0.92 - 4.2 / b_;
    ratio_ = q / (1 - q);
    alpha_ = (2.83 + 5.1 / b_) * deviation;
    mode_ = floor((n + 1) * q);
  }

  Tensor operator()(const Key& key) const {
    using Carry = std::tuple<Tensor, Tensor, Key>;
    const auto waits = [](const Carry& at) { return any(logical_not(std::get<1>(at))); };
    const auto next = [&](const Carry& at) {
      const auto& [sample, accepted, stream] = at;
      const std::vector<Key> keys = subkeys(stream, 3);
      const auto [x, accept] = propose(keys[1], keys[2]);
      return Carry(where(accept, x, sample), logical_or(accepted, accept), keys[0]);
    };
    const Carry begin(full(n_.shape(), scalar(-1, n_.dtype())), full(n_.shape(), false), key);
    return std::get<0>(while_loop(waits, next, begin));
  }

 private:
  std::pair<Tensor, Tensor> propose(const Key& first, const Key& second) const {
    const Tensor u = uniform(first, n_.shape(), n_.dtype()) - 0.5;
    const Tensor v = uniform(second, n_.shape(), n_.dtype());
    const Tensor middle = 0.5 - abs(u);
    const Tensor x = floor((2 * a_ / middle + b_) * u + c_);
    const Tensor at_once = logical_and(middle >= 0.07, v <= v_);
    const Tensor possible = logical_and(x >= 0, x <= n_);
    const Tensor height = log(v * alpha_ / (a_ / (middle * middle) + b_));
    return {x, logical_or(at_once, logical_and(possible, height <= bound(x)))};
  }

  Tensor bound(const Tensor& x) const {
    return (mode_ + 0.5) * log((mode_ + 1) / (ratio_ * (n_ - mode_ + 1))) +
           (n_ + 1) * log((n_ - mode_ + 1) / (n_ - x + 1)) +
           (x + 0.5) * log(ratio_ * (n_ - x + 1) / (x + 1)) + stirling_remainder(mode_) +
           stirling_remainder(n_ - mode_) - stirling_remainder(x) - stirling_remainder(n_ - x);
  }

  Tensor n_, q_, a_, b_, c_, v_, ratio_, alpha_, mode_;
};

}  // namespace

Tensor binomial(const Key& key, const Tensor& n, const Tensor& p,
                const std::optional<Shape>& shape) {
  require_single_key("binomial", key);
  const DType dtype = sample_dtype({n, p});
  const Shape out = sample_shape("binomial", shape, {n, p});
  const Tensor trials = broadcast_to(parameter(n, dtype), out);
  const Tensor chance = broadcast_to(parameter(p, dtype), out);
  // The rarer of the two outcomes is counted.
  const Tensor rare = where(chance < 0.5, chance, 1 - chance);
  const Tensor bad_rare = logical_or(is_nan(rare), rare < 0);
  const Tensor bad_trials = logical_or(is_nan(trials), trials < 0);
  const Tensor q = where(bad_rare, 0.01, rare), whole = floor(trials);
  // Both ways are gone, with harmless numbers where the other one counts.
  const Tensor few = logical_or(bad_trials, whole * q <= 10);
  const Tensor inverted = by_inversion(key, where(few, whole, 0.0), q);
  const Tensor rejected = Rejection(where(few, 1e4, whole), where(few, 0.5, q))(key);
  const Tensor counted = where(few, inverted, rejected);
  const Tensor sample = where(chance < 0.5, counted, whole - counted);
  const Tensor valid = where(logical_or(bad_rare, bad_trials), NAN, sample);
  return where(trials == INFINITY, INFINITY, valid);
}

Tensor multinomial(const Key& key, const Tensor& n, const Tensor& p) {
  require_single_key("multinomial", key);
  if (p.rank() == 0) {
    fail<ShapeError>("multinomial: expected probabilities p [..., k], got {}", to_string(p.type()));
  }
  const DType dtype = sample_dtype({n, p});
  const Tensor chances = parameter(p, dtype);
  const Tensor left = cumsum(chances, -1, true);
  const Tensor ratios = clip(chances / where(left == 0, 1.0, left), 0.0, 1.0);
  const Shape leading(p.shape().begin(), p.shape().end() - 1);
  const Shape out = sample_shape("multinomial", {}, {n, zeros(leading, dtype)});
  Shape every = out;
  every.push_back(p.shape(-1));
  using Category = std::pair<Tensor, Key>;
  const auto take_category = [&](const Tensor& remaining, const Category& category) {
    const Tensor count = binomial(category.second, remaining, category.first, out);
    return std::pair(remaining - count, count);
  };
  const Category categories(moveaxis(broadcast_to(ratios, every), -1, 0), split(key, p.shape(-1)));
  const auto [remaining, counts] =
      scan(take_category, broadcast_to(parameter(n, dtype), out), categories);
  return moveaxis(counts, 0, -1);
}

}  // namespace linnet::random
