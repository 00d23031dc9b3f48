// Linear algebra, named as in jax.numpy.linalg. Matrices are the last two axes, all others are a
// batch. Everything is made of other operations: it runs on every device, in compiled functions and
// under vmap, and has derivatives of every order. It is meant for small matrices: a factorisation
// of [n, n] makes of the order of n steps one after the other.
//
//   Tensor x = linalg::solve(a, b);                   // a: f32[n, n], b: f32[n] or f32[n, k]
//   auto [w, v] = linalg::eigh(covariance);           // ascending; columns of v
//
// Integers and 16-bit floats are converted to f32 first, and results are f32. Signs of vectors in
// factors are free.
#pragma once

#include <optional>

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::linalg {

/// The p-norm over `axes` (all elements if there are none), p possibly infinite; 0 counts the
/// elements that are not 0.
Tensor vector_norm(const Tensor& x, double ord = 2, const ReductionAxes& axes = {},
                   bool keepdims = false);
enum class MatrixNorm : uint8_t {
  kFrobenius,
  kNuclear,   ///< sum of the singular values
  kSpectral,  ///< the largest singular value
  kOne,       ///< largest sum of a column's absolute values
  kInfinity   ///< largest sum of a row's
};
Tensor matrix_norm(const Tensor& x, MatrixNorm kind = MatrixNorm::kFrobenius,
                   bool keepdims = false);
/// The root of the sum of all squares.
inline Tensor norm(const Tensor& x) { return vector_norm(x); }

/// The lower triangular L of a = L L', from the mean of `a` and its transpose.
/// @throws ShapeError unless matrices are square, here and below. What is not positive definite
/// gives NaN.
Tensor cholesky(const Tensor& a);

struct TriangularOptions {
  bool lower = true;
  bool transpose = false;  ///< solve with the transpose of `a`
  bool unit_diagonal = false;
};
/// x of a x = b: a [..., n, n], of which one triangle is read, b [..., n, k] or [n].
Tensor triangular_solve(const Tensor& a, const Tensor& b, const TriangularOptions& options = {});

/// a[order] = L U, with the largest element of each column as pivot.
struct Lu {
  Tensor order;  ///< i32 [..., n]
  Tensor l, u;   ///< [..., n, n]; L has a diagonal of ones
  Tensor sign;   ///< of the order as a permutation, [...]
};
Lu lu(const Tensor& a);
/// x of a x = b: b [..., n, k], or [n] for one system. A singular matrix gives infinities or NaN.
Tensor solve(const Tensor& a, const Tensor& b);
Tensor inv(const Tensor& a);
Tensor det(const Tensor& a);
struct SignLogDet {
  Tensor sign, logdet;
};
/// The sign of the determinant and the logarithm of its size, which neither overflows nor vanishes.
SignLogDet slogdet(const Tensor& a);

/// a = q r: a [..., m, n], q [..., m, k] with orthonormal columns, r [..., k, n] upper triangular,
/// k = min(m, n). By Householder reflections.
struct Qr {
  Tensor q, r;
};
Qr qr(const Tensor& a);

/// Eigenvalues, ascending [..., n], and eigenvectors, the columns of v, of the mean of `a` and its
/// transpose. By Jacobi's rotations, all disjoint pairs at once. Derivatives of vectors that belong
/// to equal values are 0 within their span.
struct Eigh {
  Tensor w, v;
};
Eigh eigh(const Tensor& a);
inline Tensor eigvalsh(const Tensor& a) { return eigh(a).w; }

/// a = u diag(s) vt: s descending [..., k], u [..., m, k], vt [..., k, n], k = min(m, n). By
/// one-sided rotations (Hestenes), so that small singular values are accurate relative to the
/// largest.
struct Svd {
  Tensor u, s, vt;
};
Svd svd(const Tensor& a);
inline Tensor svdvals(const Tensor& a) { return svd(a).s; }

/// a a ... a; of a negative exponent, of the inverse; 0 gives the identity.
Tensor matrix_power(const Tensor& a, int64_t exponent);
/// The inverse of Moore and Penrose; singular values below `rtol` times the largest count as 0. By
/// default 10 max(m, n) eps, as in jax.numpy.
Tensor pinv(const Tensor& a, std::optional<double> rtol = {});
/// The x of least norm among those that make |a x - b| least.
Tensor lstsq(const Tensor& a, const Tensor& b, std::optional<double> rtol = {});

}  // namespace linnet::linalg

#pragma GCC visibility pop
