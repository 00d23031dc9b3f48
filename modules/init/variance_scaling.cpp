#include <cmath>
#include <numbers>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/init.h"

namespace linnet::init {
namespace {

double product_of_sizes(const Shape& shape, const Axes& axes) {
  double product = 1;
  for (int64_t axis : axes) {
    const int64_t rank = static_cast<int64_t>(shape.size());
    if (axis < -rank || axis >= rank) {
      fail<ShapeError>(
          "variance_scaling: the shape {} has no axis {}\n  hint: a kernel needs an input and an "
          "output "
          "axis; use normal or zeros for vectors",
          to_string(shape), axis);
    }
    product *= static_cast<double>(shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)]);
  }
  return product;
}

double denominator(const Shape& shape, FanMode mode, const FanAxes& axes) {
  const double in = product_of_sizes(shape, axes.in), out = product_of_sizes(shape, axes.out);
  const double batch = product_of_sizes(shape, axes.batch);
  const double receptive = static_cast<double>(element_count(shape)) / in / out / batch;
  const double fan_in = in * receptive, fan_out = out * receptive;
  switch (mode) {
    case FanMode::kFanIn:
      return fan_in;
    case FanMode::kFanOut:
      return fan_out;
    case FanMode::kFanAvg:
      return (fan_in + fan_out) / 2;
    case FanMode::kFanGeoAvg:
      break;
  }
  return std::sqrt(fan_in * fan_out);
}

/// Standard deviation of a standard normal number cut at -2 and 2, and of a complex one whose
/// modulus is cut at 2.
constexpr double kTruncatedStddev = 0.87962566103423978;
constexpr double kTruncatedComplexStddev = 0.95311164380491208;

/// r e^(2πi u) for uniform u, in the complex dtype of r.
Tensor turned(const Tensor& r, const Key& key) {
  const Tensor angle = 2 * std::numbers::pi * random::uniform(key, r.shape(), r.dtype());
  return complex(r * cos(angle), r * sin(angle));
}

/// Of a variance that is a number: samples on a disc in the complex plane (J-050).
Tensor scaled_complex_sample(const Key& key, const Shape& shape, DType dtype,
                             Distribution distribution, const Tensor& variance) {
  if (distribution == Distribution::kNormal)
    return random::normal(key, shape, dtype) * sqrt(variance);
  const auto [radius, angle] = random::split<2>(key);
  const Tensor u = random::uniform(radius, shape, real_dtype_of(dtype));
  if (distribution == Distribution::kUniform) return turned(sqrt(2 * u), angle) * sqrt(variance);
  return turned(sqrt(neg(log(1 - (1 - std::exp(-4.0)) * u))), angle) *
         (sqrt(variance) / kTruncatedComplexStddev);
}

Tensor scaled_sample(const Key& key, const Shape& shape, DType dtype, Distribution distribution,
                     const Tensor& variance) {
  switch (distribution) {
    case Distribution::kTruncatedNormal:
      return random::truncated_normal(key, -2.0, 2.0, shape, dtype) *
             (sqrt(variance) / scalar(kTruncatedStddev, dtype));
    case Distribution::kNormal:
      return random::normal(key, shape, dtype) * sqrt(variance);
    case Distribution::kUniform:
      break;
  }
  return random::uniform(key, shape, dtype, -1.0, 1.0) * sqrt(3 * variance);
}

}  // namespace

Initializer variance_scaling(double scale, FanMode mode, Distribution distribution,
                             const FanAxes& axes) {
  return [=](const Key& key, const Shape& shape, DType dtype) {
    const double fan = denominator(shape, mode, axes);
    if (element_count(shape) == 0) return linnet::zeros(shape, dtype);
    if (is_complex(dtype)) {
      return scaled_complex_sample(key, shape, dtype, distribution,
                                   scalar(scale / fan, real_dtype_of(dtype)));
    }
    return scaled_sample(key, shape, dtype, distribution, scalar(scale / fan, dtype));
  };
}

Initializer lecun_normal(const FanAxes& axes) {
  return variance_scaling(1, FanMode::kFanIn, Distribution::kTruncatedNormal, axes);
}
Initializer lecun_uniform(const FanAxes& axes) {
  return variance_scaling(1, FanMode::kFanIn, Distribution::kUniform, axes);
}
Initializer glorot_normal(const FanAxes& axes) {
  return variance_scaling(1, FanMode::kFanAvg, Distribution::kTruncatedNormal, axes);
}
Initializer glorot_uniform(const FanAxes& axes) {
  return variance_scaling(1, FanMode::kFanAvg, Distribution::kUniform, axes);
}
Initializer he_normal(const FanAxes& axes) {
  return variance_scaling(2, FanMode::kFanIn, Distribution::kTruncatedNormal, axes);
}
Initializer he_uniform(const FanAxes& axes) {
  return variance_scaling(2, FanMode::kFanIn, Distribution::kUniform, axes);
}

}  // namespace linnet::init
