// Functions of jax.scipy.special, made of other operations: they have derivatives and work in every
// transformation.
//
//   Tensor entropy = sum(special::entr(p), -1);
//   Tensor log_p = special::log_ndtr(-z);              // right for z up to 1e19, where ndtr is 0
//
// The umbrella header does not include this one.
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::special {

/// x log(y), and x log1p(y); 0 where x is, unless y is NaN.
Tensor xlogy(const Tensor& x, const Tensor& y);
Tensor xlog1py(const Tensor& x, const Tensor& y);
/// -x log(x); 0 at 0, -inf below.
Tensor entr(const Tensor& x);
/// p log(p / q) for positive p and q, 0 for p = 0 and q >= 0, inf else.
Tensor rel_entr(const Tensor& p, const Tensor& q);
/// p log(p / q) - p + q, likewise.
Tensor kl_div(const Tensor& p, const Tensor& q);
/// log(p / (1 - p)), and its inverse.
Tensor logit(const Tensor& p);
Tensor expit(const Tensor& x);
/// The normal distribution: the probability of what is below x, its logarithm, and its inverse.
Tensor ndtr(const Tensor& x);
Tensor log_ndtr(const Tensor& x);
Tensor ndtri(const Tensor& p);
/// log|Γ(x)|, the sign of Γ(x) (NaN at poles), Γ(x) itself, and n! = Γ(n + 1).
Tensor gammaln(const Tensor& x);
Tensor gammasgn(const Tensor& x);
Tensor gamma(const Tensor& x);
Tensor factorial(const Tensor& n);
/// log|Γ(a) Γ(b) / Γ(a + b)|, and the quotient itself.
Tensor betaln(const Tensor& a, const Tensor& b);
Tensor beta(const Tensor& a, const Tensor& b);
/// log(π^(d (d - 1) / 4) Γ(a) Γ(a - 1/2) … Γ(a - (d - 1) / 2)).
Tensor multigammaln(const Tensor& a, int64_t d);
/// (x^λ - 1) / λ, log(x) for λ = 0; and of 1 + x.
Tensor boxcox(const Tensor& x, const Tensor& lambda);
Tensor boxcox1p(const Tensor& x, const Tensor& lambda);

}  // namespace linnet::special

#pragma GCC visibility pop
