#include <algorithm>
#include <cmath>
#include <numbers>

#include "linnet/detail/format.h"
#include "linnet/image.h"
#include "linnet/numpy.h"

namespace linnet::image {
namespace {

/// Sums of weights that are smaller count as none.
constexpr double kLeastSum = 1000 * 0x1p-23;

/// Of the distance x >= 0 in elements.
Tensor lanczos(const Tensor& x, double radius) {
  const Tensor z = std::numbers::pi * x, apart = x > 1e-3;
  const Tensor safe = where(apart, z, 1.0);
  const Tensor y = radius * sin(z) * sin(z / radius) / square(safe);
  return where(x > radius, 0.0, where(apart, y, 1.0));
}

/// Keys, Cubic convolution interpolation for digital image processing (1981), with parameter `a`.
Tensor cubic(const Tensor& x, double a) {
  const Tensor inner = ((a + 2) * x - (a + 3)) * x * x + 1;
  const Tensor outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return where(x >= 2.0, 0.0, where(x >= 1.0, outer, inner));
}

Tensor kernel(const Tensor& x, Method method) {
  switch (method) {
    case Method::kCubic:
      return cubic(x, -0.5);
    case Method::kCubicPytorch:
      return cubic(x, -0.75);
    case Method::kLanczos3:
      return lanczos(x, 3);
    case Method::kLanczos5:
      return lanczos(x, 5);
    default:
      return maximum(1 - x, 0.0);
  }
}

/// Columns sum to 1, where there is something to sum.
Tensor normalised(const Tensor& weights) {
  const Tensor total = sum(weights, Axes{0}, true);
  const Tensor some = abs(total) > kLeastSum;
  return where(some, weights / where(some, total, 1.0), 0.0);
}

/// One axis: where element j of the result comes from is (j + 0.5 - translation) / scale - 0.5.
struct Axis {
  int64_t from, to;  ///< sizes
  Tensor scale, translation;
};

/// Overlaps of the elements of the result, taken back, with those of the image.
Tensor area_weights(const Axis& axis, const Tensor& source, const Tensor& target) {
  const Tensor inverse = 1 / axis.scale;
  const Tensor left = expand_dims(target * inverse - axis.translation * inverse, 0);
  const Tensor begin = expand_dims(source, 1);
  return maximum(minimum(left + inverse, begin + 1) - maximum(left, begin), 0.0);
}

/// [from, to].
Tensor weights_of(const Axis& axis, Method method, bool antialias) {
  const DType dtype = axis.scale.dtype();
  const Tensor source = iota(dtype, {axis.from}), target = iota(dtype, {axis.to});
  const Tensor inverse = 1 / axis.scale;
  const Tensor sample = (target + 0.5) * inverse - axis.translation * inverse - 0.5;
  const auto distances = [&](const Tensor& positions) {
    const Tensor x = abs(expand_dims(sample, 0) - expand_dims(positions, 1));
    return antialias ? x / maximum(inverse, 1.0) : x;
  };
  if (method == Method::kCubicPytorch) {
    // What lies up to two elements outside counts as the element at the edge.
    const Tensor reached = kernel(distances(iota(dtype, {axis.from + 4}) - 2), method);
    const Tensor nearest = clip(iota(DType::kI32, {axis.from + 4}) - 2, 0, axis.from - 1);
    return normalised(index_add(zeros({axis.from, axis.to}, dtype), nearest, reached));
  }
  const Tensor weights = normalised(method == Method::kArea ? area_weights(axis, source, target)
                                                            : kernel(distances(source), method));
  const Tensor inside = logical_and(sample >= -0.5, sample <= static_cast<double>(axis.from) - 0.5);
  return where(expand_dims(inside, 0), weights, 0.0);
}

Tensor resampled(const Tensor& image, int64_t d, const Axis& axis, Method method, bool antialias) {
  const Tensor w = astype(weights_of(axis, method, antialias), image.dtype());
  return moveaxis(tensordot(image, w, {d}, {0}), -1, d);
}

Tensor nearest(const Tensor& image, int64_t d, int64_t to) {
  const int64_t from = image.shape(d);
  std::vector<int32_t> source;
  for (int64_t j = 0; j < to; ++j) {
    const float at =
        (static_cast<float>(j) + 0.5f) * static_cast<float>(from) / static_cast<float>(to);
    source.push_back(static_cast<int32_t>(std::floor(at)));
  }
  return take(image, from_vector(source, {to}), d, GatherMode::kClip);
}

Method without_edges(Method method, bool antialias) {
  return method == Method::kCubicPytorch && antialias ? Method::kCubic : method;
}

}  // namespace

Tensor resize(const Tensor& image, const Shape& shape, Method method, bool antialias) {
  if (shape.size() != image.rank())
    fail<ShapeError>("resize: expected {} sizes for {}, got {}", image.rank(),
                     to_string(image.type()), to_string(shape));
  Tensor y =
      is_floating(image.dtype()) || method == Method::kNearest ? image : astype(image, DType::kF32);
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t d = static_cast<int64_t>(i), from = image.shape(d), to = shape[i];
    if (from == to) continue;
    if (from == 0 || to < 0)
      fail<ShapeError>("resize: axis {} of {} cannot have {} elements", i, to_string(image.type()),
                       to);
    if (to == 0) {
      y = slice_axis(y, 0, 0, d);
    } else if (method == Method::kNearest) {
      y = nearest(y, d, to);
    } else {
      const DType dtype = y.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
      const double ratio = static_cast<double>(to) / static_cast<double>(from);
      y = resampled(y, d, {from, to, scalar(ratio, dtype), scalar(0, dtype)},
                    without_edges(method, antialias), antialias);
    }
  }
  return y;
}

Tensor scale_and_translate(const Tensor& image, const Shape& shape, const Axes& axes,
                           const Tensor& scale, const Tensor& translation, Method method,
                           bool antialias) {
  if (method == Method::kNearest)
    fail<ValueError>("scale_and_translate: expected a kernel, got the nearest element");
  const auto one_each = [&](const char* what, const Tensor& x) {
    const Tensor real = is_floating(x.dtype()) ? x : astype(x, DType::kF32);
    if (real.rank() > 1 || real.size() != static_cast<int64_t>(axes.size()))
      fail<ShapeError>("scale_and_translate: expected a {} for each of {} axes, got {}", what,
                       axes.size(), to_string(x.type()));
    return ravel(real);
  };
  if (shape.size() != image.rank())
    fail<ShapeError>("scale_and_translate: expected {} sizes for {}, got {}", image.rank(),
                     to_string(image.type()), to_string(shape));
  const Tensor scales = one_each("scale", scale), moves = one_each("translation", translation);
  Tensor y = is_floating(image.dtype()) ? image : astype(image, DType::kF32);
  std::vector<bool> moved(shape.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t rank = static_cast<int64_t>(image.rank());
    const int64_t d = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (d < 0 || d >= rank || moved[static_cast<size_t>(d)])
      fail<ShapeError>("scale_and_translate: axis {} is not one of {}, or occurs twice", axes[i],
                       to_string(image.type()));
    moved[static_cast<size_t>(d)] = true;
    const int64_t at = static_cast<int64_t>(i);
    y = resampled(y, d, {y.shape(d), shape[static_cast<size_t>(d)], scales[at], moves[at]},
                  without_edges(method, antialias), antialias);
  }
  if (y.shape() != shape)
    fail<ShapeError>("scale_and_translate: {} does not have the sizes {} in the axes that stay",
                     to_string(image.type()), to_string(shape));
  return y;
}

}  // namespace linnet::image
