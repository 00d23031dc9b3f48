#include "linnet/layers/weight_norm.h"

#include <algorithm>

#include "linnet/layers/dtypes.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet::layers {

Tensor l2_normalised(const Tensor& x, const ReductionAxes& axes, double epsilon) {
  return x * rsqrt(sum(square(x), axes, true) + epsilon);
}

namespace {

Axes features_of(const Shape& weight, const std::optional<Axes>& feature_axes) {
  return feature_axes ? normalize_axes(*feature_axes, weight.size(), "WeightNorm") : Axes();
}

}  // namespace

Shape weight_norm_scale_shape(const Shape& weight, const std::optional<Axes>& feature_axes) {
  Shape sizes;
  for (const int64_t axis : features_of(weight, feature_axes)) sizes.push_back(weight[axis]);
  return sizes;
}

Tensor weight_normed(const Tensor& weight, const Tensor& scale,
                     const std::optional<Axes>& feature_axes, double epsilon,
                     std::optional<DType> dtype) {
  const Axes features = features_of(weight.shape(), feature_axes);
  Axes reduced;
  Shape broadcast(weight.rank(), 1);
  for (int64_t axis = 0; axis < static_cast<int64_t>(weight.rank()); ++axis) {
    if (std::find(features.begin(), features.end(), axis) == features.end())
      reduced.push_back(axis);
    else
      broadcast[axis] = weight.shape(axis);
  }
  // No axes to sum over would mean all of them: each element is then its own length.
  Tensor out = reduced.empty() ? weight * rsqrt(square(weight) + epsilon)
                               : l2_normalised(weight, reduced, epsilon);
  if (scale.defined()) out = out * reshape(scale, broadcast);
  return astype(out, canonicalize_dtype({weight, scale}, dtype));
}

SpectralNormed spectrally_normed(const Tensor& weight, const Tensor& u, int64_t n_steps,
                                 double epsilon, std::optional<DType> dtype) {
  const int64_t columns = weight.shape(-1);
  const Tensor matrix = reshape(weight, {weight.size() / std::max<int64_t>(columns, 1), columns});
  Tensor right = u, left;
  for (int64_t step = 0; step < n_steps; ++step) {
    left = l2_normalised(matmul(right, transpose(matrix)), {0, 1}, epsilon);
    right = l2_normalised(matmul(left, matrix), {0, 1}, epsilon);
  }
  right = stop_gradient(right);
  left = stop_gradient(left);
  const Tensor sigma = reshape(matmul(matmul(left, matrix), transpose(right)), {});
  const Tensor out = matrix / where(sigma != 0, sigma, 1);
  return {
      astype(reshape(out, weight.shape()), canonicalize_dtype({weight, right, left, sigma}, dtype)),
      right, sigma};
}

}  // namespace linnet::layers
