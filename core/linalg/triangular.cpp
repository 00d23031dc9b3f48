#include "core/linalg/matrices.h"
#include "core/ops/random.h"
#include "linnet/control_flow.h"

namespace linnet::linalg {
namespace {

/// Row after row from the first: each needs the rows before it.
Tensor forward_substitution(const Tensor& l, const Tensor& b, bool unit_diagonal) {
  const Tensor index = count_to(l.shape(0));
  const auto step = [&](const Tensor& x, const Tensor& k) {
    const Tensor row = row_of(l, k);
    const Tensor before = where(index < k, row, scalar(0, row.dtype()));
    Tensor value = row_of(b, k) - matmul(before, x);
    if (!unit_diagonal) value = value / row_of(row, k);
    return std::pair(where(expand_dims(equal(index, k), -1), value, x), std::tuple<>());
  };
  return scan(step, zeros_like(b), index).first;
}

Tensor solve_one(const Tensor& a, const Tensor& b, const TriangularOptions& o) {
  const Tensor t = o.transpose ? transposed(a) : a;
  if (o.lower != o.transpose) return forward_substitution(t, b, o.unit_diagonal);
  return flip(forward_substitution(flip(t, {0, 1}), flip(b, {0}), o.unit_diagonal), {0});
}

/// The lower triangle with half its diagonal: what a symmetric matrix is twice the symmetric part
/// of.
Tensor half_lower(const Tensor& a) { return tril(a) - a * eye(a.shape(-1), -1, 0, a.dtype()) / 2; }

/// With a' = L (L' + dL'), dL = L half_lower(L^-1 da L^-T).
Tensor cholesky_one(const Tensor& a) {
  const auto value = [](const Tensor& x) { return emit_one(cholesky_primitive(), {x}); };
  const auto rule = [](const std::tuple<Tensor>& primal, const std::tuple<Tensor>& tangent) {
    const Tensor l = cholesky_one(std::get<0>(primal));
    const Tensor left = solve_one(l, std::get<0>(tangent), {});
    const Tensor both = transposed(solve_one(l, transposed(left), {}));
    return std::pair(l, matmul(l, half_lower(both)));
  };
  return custom_jvp(value, rule)(a);
}

}  // namespace

Tensor cholesky(const Tensor& a) {
  return for_each_matrix(cholesky_one, symmetric(matrices("cholesky", a, true)));
}

Tensor triangular_solve(const Tensor& a, const Tensor& b, const TriangularOptions& options) {
  const System s = system_of("triangular_solve", a, b, true);
  return s.of(for_each_matrix(
      [options](const Tensor& t, const Tensor& right) { return solve_one(t, right, options); }, s.a,
      s.b));
}

}  // namespace linnet::linalg
