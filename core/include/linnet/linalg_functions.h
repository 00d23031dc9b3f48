// Functions of matrices beside the factorisations of linalg.h, named as in jax.numpy.linalg and
// jax.scipy.linalg. Matrices are the last two axes, all others are a batch.
//
//   Tensor rotation = linalg::expm(angle * generator);
//   Tensor x = linalg::cho_solve(linalg::cholesky(a), b);
//
// The umbrella header does not include this one.
#pragma once

#include <optional>
#include <vector>

#include "linnet/linalg.h"

#pragma GCC visibility push(default)

namespace linnet::linalg {

/// The exponential of a square matrix: Padé's approximant of degree 13 with scaling and squaring
/// (Higham 2005). NaN if the 1-norm is above 2^16 times what the approximant is good for.
Tensor expm(const Tensor& a);
/// x of a x = b from the lower triangular factor L of a = L L': b [..., n, k] or [n].
Tensor cho_solve(const Tensor& factor, const Tensor& b);
/// How many singular values are above `rtol` times the largest, i32 [...]; by default max(m, n)
/// eps.
Tensor matrix_rank(const Tensor& a, std::optional<double> rtol = {});
/// The largest singular value over the least.
Tensor cond(const Tensor& a);
/// The product in the order with the fewest multiplications; the first and the last may be vectors.
/// @throws ValueError for fewer than two.
Tensor multi_dot(const std::vector<Tensor>& matrices);
/// The tensor that `tensordot` over the first `ind` axes takes `a` to the identity with.
/// @throws ShapeError unless the products of both parts of the shape are equal.
Tensor tensorinv(const Tensor& a, int64_t ind = 2);
/// The x with tensordot(a, x) = b over all axes of x, which are the last of `a`.
Tensor tensorsolve(const Tensor& a, const Tensor& b);

}  // namespace linnet::linalg

#pragma GCC visibility pop
