// Random matrices and vectors with covariance (docs/rng.md sections 5.1 and 5.7).
#include <algorithm>

#include "core/ops/random.h"
#include "core/random/sampling.h"
#include "linnet/detail/format.h"

namespace linnet::random {

Tensor orthogonal(const Key& key, int64_t n, const Shape& shape, std::optional<int64_t> m,
                  DType dtype) {
  const int64_t columns = m.value_or(n);
  Shape drawn = shape;
  drawn.push_back(std::max(n, columns));
  drawn.push_back(std::min(n, columns));
  const Tensor q = emit_one(qr_orthogonal_primitive(), {normal(key, drawn, dtype)});
  return n < columns ? swapaxes(q, -2, -1) : q;
}

Tensor multivariate_normal(const Key& key, const Tensor& mean, const Tensor& covariance,
                           const std::optional<Shape>& shape) {
  if (mean.rank() == 0 || covariance.rank() < 2 || covariance.shape(-1) != mean.shape(-1)) {
    fail<ShapeError>(
        "multivariate_normal: expected mean [..., n] and covariance [..., n, n], got {} and {}",
        to_string(mean.type()), to_string(covariance.type()));
  }
  const DType dtype = sample_dtype({mean, covariance});
  const Shape common =
      broadcast_shapes("multivariate_normal", Shape(mean.shape().begin(), mean.shape().end() - 1),
                       Shape(covariance.shape().begin(), covariance.shape().end() - 2));
  const Shape batch = shape.value_or(common);
  if (broadcast_shapes("multivariate_normal", common, batch) != batch) {
    fail<ShapeError>("multivariate_normal: parameters of leading shape {} do not broadcast to {}",
                     to_string(common), to_string(batch));
  }
  Shape drawn = batch;
  drawn.push_back(mean.shape(-1));
  const Tensor factor = emit_one(cholesky_primitive(), {parameter(covariance, dtype)});
  const Tensor z = expand_dims(normal(key, drawn, dtype), -1);
  return parameter(mean, dtype) + squeeze(matmul(factor, z), Axes{-1});
}

}  // namespace linnet::random
