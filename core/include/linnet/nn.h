// Functions of networks beyond those of ops.h, named and behaving as in jax.nn: softmax over a part
// of the elements, standardised values, rarer activations.
//
//   Tensor weights = softmax(scores, padding_mask);            // 0 where the mask is false
//   Tensor y = standardize(x, {.axes = {-1}});                 // mean 0, variance 1
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Softmax of the elements for which `where`, which broadcasts to `x`, is true; 0 for the others
/// (J-039).
Tensor softmax(const Tensor& x, const Tensor& where, int64_t axis = -1);
/// Its logarithm; -inf for the others.
Tensor log_softmax(const Tensor& x, const Tensor& where, int64_t axis = -1);
/// log(sum(exp(x))) over the elements for which `where` is true; -inf if there are none.
Tensor logsumexp(const Tensor& x, const Tensor& where, const ReductionAxes& axes,
                 bool keepdims = false);
/// log(mean(exp(x))), of all or of those for which `where` is true (J-039).
Tensor logmeanexp(const Tensor& x, const ReductionAxes& axes = {}, const Tensor& where = {},
                  bool keepdims = false);

/// The logarithm of the running sum of exponentials along `axis` (J-029).
Tensor cumlogsumexp(const Tensor& x, int64_t axis = 0, bool reverse = false);

struct StandardizeOptions {
  Axes axes = {-1};
  double epsilon = 1e-5;
  Tensor mean = {}, variance = {};  ///< given, in place of those of `x`; they broadcast to it
  Tensor where = {};                ///< the elements that the statistics are of
  bool stable = false;              ///< mean((x - mean)²) in place of mean(x²) - mean²
};
/// (x - mean) rsqrt(variance + epsilon). The variance is mean(x²) - mean², at least 0 (J-040).
Tensor standardize(const Tensor& x, const StandardizeOptions& options = {});

/// (x + sqrt(x² + b)) / 2 (J-037).
Tensor squareplus(const Tensor& x, double b = 4);
/// 0 up to -1, (x + 1)² / 4 up to 1, x beyond (J-037).
Tensor sparse_plus(const Tensor& x);
/// Its derivative: (x + 1) / 2 within [0, 1].
Tensor sparse_sigmoid(const Tensor& x);
/// log(1 - exp(-x)) for x >= 0, without cancellation (J-043).
Tensor log1mexp(const Tensor& x);

}  // namespace linnet

#pragma GCC visibility pop
