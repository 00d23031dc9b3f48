// Private: primitives of random numbers. They take key data u32[keys..., 2] and treat each key
// alone, so batching over keys is a leading dimension. Which numbers come out is fixed by
// docs/rng.md.
#pragma once

#include "core/ops/dims.h"
#include "linnet/primitive.h"
#include "linnet/random.h"

namespace linnet {

/// keys -> dtype[keys..., shape...].
struct RandomParams {
  Shape shape;
  DType dtype = DType::kU32;
  random::Layout layout = random::Layout::kPartitionable;
  LINNET_FIELDS(shape, dtype, layout)
};
/// The same, with two bounds that are rounded to the dtype.
struct RandomRangeParams {
  Shape shape;
  DType dtype = DType::kF32;
  double low = 0, high = 1;
  random::Layout layout = random::Layout::kPartitionable;
  LINNET_FIELDS(shape, dtype, low, high, layout)
};
struct RandomGammaParams {
  bool logarithm = false;
  random::Layout layout = random::Layout::kPartitionable;
  LINNET_FIELDS(logarithm, layout)
};
struct DropoutParams {
  double rate = 0;
  Shape mask_shape;  ///< broadcasts to the operand's
  random::Layout layout = random::Layout::kPartitionable;
  LINNET_FIELDS(rate, mask_shape, layout)
};

/// Keys come first in every shape, so a batch of keys is just a larger array of keys. Each key is
/// taken alone; of its numbers, the position in the whole counts.
template <class P, TypeList (*kInfer)(const P&, Inputs)>
DimMap key_dims(const P& p, Inputs x) {
  return dims::leading(x, kInfer(p, x), x[0].rank() - 1);
}

/// Shape of the key array. @throws DTypeError or ShapeError unless `data` is u32[..., 2].
Shape key_array_shape(const char* operation, const Tensor& data);

/// Random bits of an unsigned dtype.
const Primitive& random_bits_primitive();
/// keys -> u32[keys..., shape..., 2]; the dtype is unused.
const Primitive& random_split_primitive();
/// keys u32[keys..., 2], data u32[keys...] -> u32[keys..., 2].
const Primitive& random_fold_in_primitive();
/// On [low, high).
const Primitive& random_uniform_primitive();
const Primitive& random_normal_primitive();
/// On the open interval (low, high).
const Primitive& random_truncated_normal_primitive();
/// keys, a f[keys..., shape...] of f32 or f64 -> gamma numbers of those parameters, or their
/// logarithms.
const Primitive& random_gamma_primitive();
/// keys, rates f32[keys..., shape...] -> i64[keys..., shape...]; the parameters' shape and dtype
/// are unused.
const Primitive& random_poisson_primitive();
/// f[..., rows, columns], rows >= columns -> the orthonormal factor Q for which R has a positive
/// diagonal.
const Primitive& qr_orthogonal_primitive();
/// f[..., n, n], positive definite -> the lower factor.
const Primitive& cholesky_primitive();
/// x, key u32[2] -> y of x's type, mask bool[mask_shape].
const Primitive& dropout_primitive();

/// Definitions in their own files.
void define_random_rejection();

}  // namespace linnet
