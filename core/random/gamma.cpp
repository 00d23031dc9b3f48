// The gamma family and Poisson numbers (docs/rng.md sections 5.5 and 5.6).
#include "core/ops/random.h"
#include "core/random/sampling.h"
#include "linnet/detail/format.h"

namespace linnet::random {
namespace {

Tensor gamma_numbers(const char* operation, const Key& key, const Tensor& a,
                     const std::optional<Shape>& shape, bool logarithm) {
  const DType dtype = sample_dtype({a});
  const Shape out = joined(key, sample_shape(operation, shape, {a}));
  return emit_one(random_gamma_primitive(), {key.data(), broadcast_to(parameter(a, dtype), out)},
                  RandomGammaParams{logarithm, layout()});
}

}  // namespace

Tensor gamma(const Key& key, const Tensor& a, const std::optional<Shape>& shape) {
  return gamma_numbers("gamma", key, a, shape, false);
}

Tensor loggamma(const Key& key, const Tensor& a, const std::optional<Shape>& shape) {
  return gamma_numbers("loggamma", key, a, shape, true);
}

Tensor beta(const Key& key, const Tensor& a, const Tensor& b, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({a, b});
  const Shape out = sample_shape("beta", shape, {a, b});
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor log_a = loggamma(keys[0], parameter(a, dtype), out);
  const Tensor log_b = loggamma(keys[1], parameter(b, dtype), out);
  const Tensor most = maximum(log_a, log_b);
  const Tensor gamma_a = exp(log_a - most), gamma_b = exp(log_b - most);
  return gamma_a / (gamma_a + gamma_b);
}

Tensor dirichlet(const Key& key, const Tensor& alpha, const std::optional<Shape>& shape) {
  if (alpha.rank() == 0)
    fail<ShapeError>("dirichlet: expected alpha [..., n], got {}", to_string(alpha.type()));
  Shape out = shape.value_or(Shape(alpha.shape().begin(), alpha.shape().end() - 1));
  out.push_back(alpha.shape(-1));
  return softmax(loggamma(key, alpha, out));
}

Tensor chisquare(const Key& key, const Tensor& df, const std::optional<Shape>& shape) {
  return 2 * exp(loggamma(key, parameter(df, sample_dtype({df})) / 2, shape));
}

Tensor t(const Key& key, const Tensor& df, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({df});
  const Shape out = sample_shape("t", shape, {df});
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor half = parameter(df, dtype) / 2;
  return normal(keys[0], out, dtype) * sqrt(half / gamma(keys[1], half, out));
}

Tensor f(const Key& key, const Tensor& numerator_df, const Tensor& denominator_df,
         const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({numerator_df, denominator_df});
  const Shape out = sample_shape("f", shape, {numerator_df, denominator_df});
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor below = parameter(denominator_df, dtype), above = parameter(numerator_df, dtype);
  return (chisquare(keys[1], above, out) / above) / (chisquare(keys[0], below, out) / below);
}

Tensor generalized_normal(const Key& key, const Tensor& p, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({p});
  const Shape out = sample_shape("generalized_normal", shape, {p});
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor exponent = 1 / parameter(p, dtype);
  return rademacher(keys[1], out, dtype) * pow(gamma(keys[0], exponent, out), exponent);
}

Tensor ball(const Key& key, int64_t dimensions, const Tensor& p, const Shape& shape) {
  const Tensor power = parameter(p, sample_dtype({p}));
  Shape vectors = shape;
  vectors.push_back(dimensions);
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor g = generalized_normal(keys[0], power, vectors);
  const Tensor e = exponential(keys[1], shape, power.dtype());
  return g / expand_dims(pow(sum(pow(abs(g), power), Axes{-1}) + e, 1 / power), -1);
}

Tensor poisson(const Key& key, const Tensor& rate, const std::optional<Shape>& shape, DType dtype) {
  if (!is_integer(dtype))
    fail<DTypeError>("poisson: expected an integer dtype, got {}", name_of(dtype));
  const Shape out = joined(key, sample_shape("poisson", shape, {rate}));
  const Tensor rates = broadcast_to(parameter(rate, DType::kF32), out);
  const Tensor counts = emit_one(random_poisson_primitive(), {key.data(), rates},
                                 RandomParams{{}, DType::kI64, layout()});
  if (size_of(dtype) == 8) return astype(counts, dtype);
  // Counts beyond the dtype are its largest number, not what their last bits say.
  const int64_t most = static_cast<int64_t>(iinfo(dtype).max);
  return astype(minimum(counts, scalar_integer(most, DType::kI64)), dtype);
}

}  // namespace linnet::random
