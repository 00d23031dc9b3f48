// Samplers with parameters that are formulas of simpler ones (docs/rng.md sections 5.1 and 5.4).
#include "core/random/sampling.h"
#include "linnet/detail/format.h"

namespace linnet::random {

Tensor pareto(const Key& key, const Tensor& b, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({b});
  return exp(exponential(key, sample_shape("pareto", shape, {b}), dtype) / parameter(b, dtype));
}

Tensor weibull_min(const Key& key, const Tensor& scale, const Tensor& concentration,
                   const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({scale, concentration});
  const Tensor base =
      exponential(key, sample_shape("weibull_min", shape, {scale, concentration}), dtype);
  return pow(base, 1 / parameter(concentration, dtype)) * parameter(scale, dtype);
}

Tensor rayleigh(const Key& key, const Tensor& scale, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({scale});
  const Tensor u = uniform(key, sample_shape("rayleigh", shape, {scale}), dtype);
  return parameter(scale, dtype) * sqrt(log(u) * -2);
}

Tensor triangular(const Key& key, const Tensor& left, const Tensor& mode, const Tensor& right,
                  const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({left, mode, right});
  const Tensor l = parameter(left, dtype), m = parameter(mode, dtype), r = parameter(right, dtype);
  const Tensor u = uniform(key, sample_shape("triangular", shape, {left, mode, right}), dtype);
  const Tensor rising = l + sqrt(u * (r - l) * (m - l));
  const Tensor falling = r - sqrt((1 - u) * (r - l) * (r - m));
  return where(u < (m - l) / (r - l), rising, falling);
}

Tensor geometric(const Key& key, const Tensor& p, const std::optional<Shape>& shape, DType dtype) {
  const DType drawn = sample_dtype({p});
  const Tensor u = uniform(key, sample_shape("geometric", shape, {p}), drawn);
  const Tensor trials = floor(log(where(equal(u, 0), 1, u)) / log1p(neg(parameter(p, drawn))));
  return astype(trials + 1, dtype);
}

Tensor lognormal(const Key& key, const Tensor& sigma, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({sigma});
  return exp(normal(key, sample_shape("lognormal", shape, {sigma}), dtype) *
             parameter(sigma, dtype));
}

Tensor wald(const Key& key, const Tensor& mean, const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({mean});
  const Shape out = sample_shape("wald", shape, {mean});
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor m = parameter(mean, dtype), y = square(normal(keys[0], out, dtype));
  const Tensor m2 = square(m);
  const Tensor x = m + m2 * y / 2 - m / 2 * sqrt(4 * m * y + m2 * square(y));
  return where(uniform(keys[1], out, dtype) <= m / (m + x), x, m2 / x);
}

Tensor maxwell(const Key& key, const Shape& shape, DType dtype) {
  Shape vectors = shape;
  vectors.push_back(3);
  return sqrt(sum(square(normal(key, vectors, dtype)), Axes{-1}));
}

Tensor double_sided_maxwell(const Key& key, const Tensor& loc, const Tensor& scale,
                            const std::optional<Shape>& shape) {
  const DType dtype = sample_dtype({loc, scale});
  const Shape parameters = sample_shape("double_sided_maxwell", {}, {loc, scale});
  Shape out = shape.value_or(parameters);
  out.append(parameters.begin(), parameters.end());
  const std::vector<Key> keys = subkeys(key, 2);
  const Tensor magnitude = maxwell(keys[0], out, dtype);
  return rademacher(keys[1], out, dtype) * magnitude * parameter(scale, dtype) +
         parameter(loc, dtype);
}

}  // namespace linnet::random
