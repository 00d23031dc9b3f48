// Resampling of images, or of any regular grid, as jax.image.
//
//   Tensor half = image::resize(x, {batch, 112, 112, 3}, image::Method::kLinear);
//   Tensor moved = image::scale_and_translate(x, {64, 64}, {0, 1}, tensor({2.f, 2.f}),
//                                             tensor({0.f, 5.f}), image::Method::kCubic);
//
// Positions are centres of elements: element i is at i + 0.5. Made of other operations, so it has
// derivatives (with respect to scale and translation, too) and works in every transformation. The
// umbrella header does not include this one.
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::image {

enum class Method : uint8_t {
  kNearest,
  kLinear,
  kCubic,         ///< Keys's kernel with a = -0.5
  kCubicPytorch,  ///< with antialiasing kCubic; without, a = -0.75 and repeated edges
  kLanczos3,
  kLanczos5,
  kArea  ///< the mean over the area that an element of the result covers
};

/// The image with other sizes; axes that keep theirs are not touched. Where an axis becomes
/// shorter, the kernel is made wider by as much if `antialias`, so that what is finer than the
/// result is averaged. Integers become f32, except by kNearest.
/// @throws ShapeError for a shape of another rank, or an axis without elements that is to have
/// some.
Tensor resize(const Tensor& image, const Shape& shape, Method method, bool antialias = true);

/// What was at x along axes[i] is at x scale[i] + translation[i]; what comes from outside is 0.
/// scale and translation: [axes], or 0-dimensional for one axis. The result is floating.
/// @throws ShapeError if these do not fit, ValueError for kNearest.
Tensor scale_and_translate(const Tensor& image, const Shape& shape, const Axes& axes,
                           const Tensor& scale, const Tensor& translation, Method method,
                           bool antialias = true);

}  // namespace linnet::image

#pragma GCC visibility pop
