#include <algorithm>
#include <cmath>

#include "core/linalg/matrices.h"
#include "linnet/complex.h"

namespace linnet::linalg {

Tensor vector_norm(const Tensor& x, double ord, const ReductionAxes& axes, bool keepdims) {
  // Of complex elements the sizes.
  const Tensor y = is_complex(x.dtype()) ? x : linalg::real(x);
  if (ord == 2) return sqrt(sum(abs_squared(y), axes, keepdims));
  if (ord == HUGE_VAL) return max(abs(y), axes, keepdims);
  if (ord == -HUGE_VAL) return min(abs(y), axes, keepdims);
  if (ord == 0) return sum(astype(not_equal(y, 0), real_dtype_of(y.dtype())), axes, keepdims);
  if (ord == 1) return sum(abs(y), axes, keepdims);
  return pow(sum(pow(abs(y), ord), axes, keepdims), 1 / ord);
}

Tensor matrix_norm(const Tensor& x, MatrixNorm kind, bool keepdims) {
  const Tensor a = matrices("matrix_norm", x, false);
  const auto kept = [&](const Tensor& y) { return keepdims ? expand_dims(y, Axes{-2, -1}) : y; };
  switch (kind) {
    case MatrixNorm::kFrobenius:
      return sqrt(sum(square(a), Axes{-2, -1}, keepdims));
    case MatrixNorm::kNuclear:
      return kept(sum(svdvals(a), -1));
    case MatrixNorm::kSpectral:
      return kept(max(svdvals(a), -1));
    case MatrixNorm::kOne:
      return kept(max(sum(abs(a), -2), -1));
    case MatrixNorm::kInfinity:
      return kept(max(sum(abs(a), -1), -1));
  }
  fail<ValueError>("matrix_norm: unknown kind {}", static_cast<int>(kind));
}

Tensor matrix_power(const Tensor& a, int64_t exponent) {
  Tensor base = matrices("matrix_power", a, true);
  if (exponent < 0) {
    base = inv(base);
    exponent = -exponent;
  }
  Tensor out = broadcast_to(eye(base.shape(-1), -1, 0, base.dtype()), base.shape());
  bool first = true;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) out = first ? base : matmul(out, base);
    first = first && !(exponent & 1);
    if (exponent > 1) base = matmul(base, base);
  }
  return out;
}

Tensor pinv(const Tensor& a, std::optional<double> rtol) {
  const Tensor x = matrices("pinv", a, false);
  const double share = rtol.value_or(10 * static_cast<double>(std::max(x.shape(-1), x.shape(-2))) *
                                     finfo(x.dtype()).eps);
  const Svd y = svd(x);
  const Tensor counts = y.s > share * max(y.s, Axes{-1}, true);
  const Tensor inverse = where(counts, 1 / where(counts, y.s, 1.0), 0.0);
  return matmul(transposed(y.vt) * expand_dims(inverse, -2), transposed(y.u));
}

Tensor lstsq(const Tensor& a, const Tensor& b, std::optional<double> rtol) {
  const System s = system_of("lstsq", a, b, false);
  return s.of(matmul(pinv(s.a, rtol), s.b));
}

}  // namespace linnet::linalg
