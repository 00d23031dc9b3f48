// What the wrappers that normalise weights compute, for layers of both APIs.
//
//   Shape sizes = layers::weight_norm_scale_shape(kernel.shape(), Axes{-1});
//   Tensor w = layers::weight_normed(kernel, scale, Axes{-1}, 1e-12, {});
#pragma once

#include <cstdint>
#include <optional>

#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// x / |x|, where the length is taken along `axes`.
Tensor l2_normalised(const Tensor& x, const ReductionAxes& axes, double epsilon);

/// Sizes of the feature axes; without them a weight has one scale.
Shape weight_norm_scale_shape(const Shape& weight, const std::optional<Axes>& feature_axes);

/// Length 1 along all axes but the feature axes, times `scale`, which may be undefined
/// (arXiv:1602.07868). @param dtype of the result; by default the common one.
Tensor weight_normed(const Tensor& weight, const Tensor& scale,
                     const std::optional<Axes>& feature_axes, double epsilon,
                     std::optional<DType> dtype);

struct SpectralNormed {
  Tensor weight;  ///< divided by sigma
  Tensor u;       ///< [1, columns]: where the next iteration begins
  Tensor sigma;   ///< []: the estimate of the largest singular value
};
/// Weights count as matrices [-1, last]; `n_steps` of power iteration from u [1, last], through
/// which no gradient flows (arXiv:1802.05957).
SpectralNormed spectrally_normed(const Tensor& weight, const Tensor& u, int64_t n_steps,
                                 double epsilon, std::optional<DType> dtype);

}  // namespace linnet::layers

#pragma GCC visibility pop
