#include "core/linalg/matrices.h"
#include "linnet/control_flow.h"

namespace linnet::linalg {
namespace {

/// L below the diagonal of `a`, U on it and above.
struct Elimination {
  Tensor a, order, sign;
  LINNET_FIELDS(a, order, sign)
};

/// Brings the largest element of column k to the diagonal and eliminates below it.
Elimination eliminate(const Elimination& before, const Tensor& k) {
  const Tensor index = count_to(before.a.shape(0));
  const Tensor candidates = where(index >= k, abs(column_of(before.a, k)), -1.0);
  const Tensor pivot = argmax(candidates);
  const Tensor source = where(equal(index, k), pivot, where(equal(index, pivot), k, index));
  const Tensor a = row_of(before.a, source);
  const Tensor head_row = row_of(a, k), head = row_of(head_row, k);
  const Tensor below = index > k, singular = equal(head, 0);
  const Tensor factors = where(logical_and(below, logical_not(singular)),
                               column_of(a, k) / where(singular, 1.0, head), 0.0);
  const Tensor reduced = a - outer(factors, where(below, head_row, 0.0));
  const Tensor kept = logical_and(expand_dims(below, 1), expand_dims(equal(index, k), 0));
  return {where(kept, expand_dims(factors, 1), reduced), row_of(before.order, source),
          where(equal(pivot, k), before.sign, -before.sign)};
}

Elimination eliminated(const Tensor& a) {
  const Tensor index = count_to(a.shape(0));
  const auto step = [](const Elimination& e, const Tensor& k) {
    return std::pair(eliminate(e, k), std::tuple<>());
  };
  return scan(step, Elimination{a, index, scalar(1, a.dtype())}, index).first;
}

Tensor solve_one(const Tensor& a, const Tensor& b) {
  const Elimination e = eliminated(a);
  const Tensor y =
      triangular_solve(e.a, row_of(b, e.order), {.lower = true, .unit_diagonal = true});
  return triangular_solve(e.a, y, {.lower = false});
}

/// The element in row i and column j of each matrix.
Tensor entry(const Tensor& a, int64_t i, int64_t j) {
  return index_axis(index_axis(a, i, -2), j, -1);
}

/// By cofactors, whose derivatives are right for singular matrices, too.
Tensor small_det(const Tensor& a) {
  const int64_t n = a.shape(-1);
  const auto e = [&](int64_t i, int64_t j) { return entry(a, i, j); };
  if (n == 1) return e(0, 0);
  if (n == 2) return e(0, 0) * e(1, 1) - e(0, 1) * e(1, 0);
  return e(0, 0) * (e(1, 1) * e(2, 2) - e(1, 2) * e(2, 1)) -
         e(0, 1) * (e(1, 0) * e(2, 2) - e(1, 2) * e(2, 0)) +
         e(0, 2) * (e(1, 0) * e(2, 1) - e(1, 1) * e(2, 0));
}

}  // namespace

Lu lu(const Tensor& a) {
  return for_each_matrix(
      [](const Tensor& x) {
        const Elimination e = eliminated(x);
        const Tensor l = tril(e.a, -1) + eye(x.shape(0), -1, 0, x.dtype());
        return Lu{e.order, l, triu(e.a), e.sign};
      },
      matrices("lu", a, true));
}

Tensor solve(const Tensor& a, const Tensor& b) {
  const System s = system_of("solve", a, b, true);
  return s.of(for_each_matrix(solve_one, s.a, s.b));
}

Tensor inv(const Tensor& a) {
  const Tensor x = matrices("inv", a, true);
  return solve(x, eye(x.shape(-1), -1, 0, x.dtype()));
}

Tensor det(const Tensor& a) {
  const Tensor x = matrices("det", a, true);
  const int64_t n = x.shape(-1);
  if (n > 0 && n <= 3) return small_det(x);
  return for_each_matrix(
      [](const Tensor& one) {
        const Elimination e = eliminated(one);
        return e.sign * prod(diagonal(e.a));
      },
      x);
}

SignLogDet slogdet(const Tensor& a) {
  return for_each_matrix(
      [](const Tensor& x) {
        const Elimination e = eliminated(x);
        const Tensor d = diagonal(e.a);
        return SignLogDet{e.sign * prod(sign(d)), sum(log(abs(d)))};
      },
      matrices("slogdet", a, true));
}

}  // namespace linnet::linalg
