// Activation functions that are not operations of their own (ops.h has the others), the same in
// both module APIs.
//
//   Tensor y = linen::standardize(x);       // mean 0 and variance 1 along the last axis
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// x relu6(x + 3) / 6: another name of hard_silu.
Tensor hard_swish(const Tensor& x);

struct StandardizeOptions {
  Axes axis = {-1};
  Tensor mean = {};      ///< in place of that of x along `axis`
  Tensor variance = {};  ///< likewise; broadcast to x
  double epsilon = 1e-5;
  Tensor where = {};  ///< bool, broadcast to x: elements that count
};
/// (x - mean) rsqrt(variance + epsilon), the variance as the mean of squares minus the square of
/// the mean (jax.nn.standardize).
/// @throws DTypeError for integers.
Tensor standardize(const Tensor& x, const StandardizeOptions& options = {});

}  // namespace linnet::layers

namespace linnet::linen {
using layers::hard_swish;
using layers::standardize;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::hard_swish;
using layers::standardize;
}  // namespace linnet::nnx

#pragma GCC visibility pop
