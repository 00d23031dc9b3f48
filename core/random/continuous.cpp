// Uniform and normal numbers, and samplers by inversion of a distribution function (docs/rng.md
// sections 3, 5.1 and 5.4).
#include <cmath>
#include <limits>
#include <numbers>

#include "core/ops/random.h"
#include "core/ops/scalar_primitives.h"
#include "core/random/sampling.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"

namespace linnet::random {

void require_single_key(const char* operation, const Key& key) {
  if (key.shape().empty()) return;
  fail<ShapeError>("{}: expected a single key, got an array of keys {}\n  hint: vmap over the keys",
                   operation, to_string(key.shape()));
}

std::vector<Key> subkeys(const Key& key, int64_t count) {
  const Tensor data = split(key, count).data();
  std::vector<Key> out;
  for (int64_t i = 0; i < count; ++i) {
    out.emplace_back(index_axis(data, i, static_cast<int64_t>(data.rank()) - 2));
  }
  return out;
}

Shape joined(const Key& key, const Shape& shape) {
  Shape out = key.shape();
  out.append(shape.begin(), shape.end());
  return out;
}

DType sample_dtype(std::initializer_list<Tensor> parameters) {
  WeakDType type{DType::kF32, true};
  for (const Tensor& x : parameters) {
    if (is_floating(x.dtype())) type = promote_types(type, {x.dtype(), x.weak()});
  }
  return type.dtype;
}

Shape sample_shape(const char* operation, const std::optional<Shape>& shape,
                   std::initializer_list<Tensor> parameters) {
  Shape common;
  for (const Tensor& x : parameters) common = broadcast_shapes(operation, common, x.shape());
  if (!shape) return common;
  if (broadcast_shapes(operation, common, *shape) != *shape) {
    fail<ShapeError>("{}: parameters of shape {} do not broadcast to {}", operation,
                     to_string(common), to_string(*shape));
  }
  return *shape;
}

namespace {

/// True if the number is known now and the same for all elements.
bool is_constant(const Tensor& x) { return x.rank() == 0 && x.impl()->concrete(); }

Tensor constant_range(const Primitive& primitive, const Key& key, const Shape& shape, DType dtype,
                      const Tensor& low, const Tensor& high) {
  return emit_one(
      primitive, {key.data()},
      RandomRangeParams{shape, dtype, low.item<double>(), high.item<double>(), layout()});
}

Tensor uniform_between(const Key& key, const Shape& shape, DType dtype, double low, double high) {
  return emit_one(random_uniform_primitive(), {key.data()},
                  RandomRangeParams{shape, dtype, low, high, layout()});
}

}  // namespace

Tensor uniform(const Key& key, const Shape& shape, DType dtype, const Tensor& low,
               const Tensor& high) {
  if (!is_floating(dtype)) {
    fail<DTypeError>("uniform: expected a floating dtype, got {}\n  hint: randint draws integers",
                     name_of(dtype));
  }
  sample_shape("uniform", shape, {low, high});
  const Tensor from = parameter(low, dtype), to = parameter(high, dtype);
  if (is_constant(from) && is_constant(to)) {
    return constant_range(random_uniform_primitive(), key, shape, dtype, from, to);
  }
  const Tensor unit = uniform_between(key, shape, dtype, 0, 1);
  const Shape whole = joined(key, shape);
  const Tensor base = broadcast_trailing(from, whole),
               span = broadcast_trailing(sub(to, from), whole);
  // 16-bit floats round the product by itself.
  if (size_of(dtype) == 2) return maximum(base, unit * span + base);
  return maximum(base, emit_one(fma_primitive(), {unit, span, base}));
}

Tensor normal(const Key& key, const Shape& shape, DType dtype) {
  if (is_complex(dtype)) {
    const auto [first, second] = split<2>(key);
    const DType part = real_dtype_of(dtype);
    const Tensor z = complex(normal(first, shape, part), normal(second, shape, part));
    return z / scalar(std::numbers::sqrt2, dtype);
  }
  return emit_one(random_normal_primitive(), {key.data()}, RandomParams{shape, dtype, layout()});
}

Tensor truncated_normal(const Key& key, const Tensor& lower, const Tensor& upper,
                        const Shape& shape, DType dtype) {
  if (!is_floating(dtype))
    fail<DTypeError>("truncated_normal: expected a floating dtype, got {}", name_of(dtype));
  sample_shape("truncated_normal", shape, {lower, upper});
  const Tensor from = parameter(lower, dtype), to = parameter(upper, dtype);
  if (is_constant(from) && is_constant(to)) {
    return constant_range(random_truncated_normal_primitive(), key, shape, dtype, from, to);
  }
  const Tensor root2 = scalar(std::numbers::sqrt2, dtype);
  const Tensor x = root2 * erf_inv(uniform(key, shape, dtype, erf(from / root2), erf(to / root2)));
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor least = nextafter(stop_gradient(from), scalar(infinity, dtype));
  const Tensor most = nextafter(stop_gradient(to), scalar(-infinity, dtype));
  return clip(x, least, most);
}

Tensor exponential(const Key& key, const Shape& shape, DType dtype) {
  return neg(log1p(neg(uniform_between(key, shape, dtype, 0, 1))));
}

Tensor laplace(const Key& key, const Shape& shape, DType dtype) {
  const Tensor u = uniform_between(key, shape, dtype, -1 + finfo(dtype).eps / 2, 1);
  return sign(u) * log1p(neg(abs(u)));
}

Tensor logistic(const Key& key, const Shape& shape, DType dtype) {
  const Tensor u = uniform_between(key, shape, dtype, finfo(dtype).tiny, 1);
  return log(u) - log1p(neg(u));
}

Tensor cauchy(const Key& key, const Shape& shape, DType dtype) {
  const Tensor u = uniform_between(key, shape, dtype, finfo(dtype).eps, 1);
  return tan(scalar(std::numbers::pi, dtype) * (u - 0.5));
}

}  // namespace linnet::random
