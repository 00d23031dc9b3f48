// Functions of linnet/linalg_functions.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/linalg/matrices.h"
#include "linnet/linalg_functions.h"

namespace linnet::linalg {
namespace {

constexpr int kMaxSquarings = 16;
/// Up to this 1-norm the approximant of degree 13 is exact to rounding in f64 (Higham 2005).
constexpr double kPadeRadius = 5.371920351148152;

/// exp(a) for matrices of norm at most kPadeRadius: (v - u)^-1 (v + u).
Tensor pade_exponential(const Tensor& a) {
  constexpr double b[] = {64764752532480000.,
                          32382376266240000.,
                          7771770303897600.,
                          1187353796428800.,
                          129060195264000.,
                          10559470521600.,
                          670442572800.,
                          33522128640.,
                          1323241920.,
                          40840800.,
                          960960.,
                          16380.,
                          182.,
                          1.};
  const Tensor one = broadcast_to(eye(a.shape(-1), -1, 0, a.dtype()), a.shape());
  const Tensor a2 = matmul(a, a), a4 = matmul(a2, a2), a6 = matmul(a4, a2);
  // Divided by the first, so that f32 holds all.
  const auto term = [&](const Tensor& x, int i) { return x * (b[i] / b[0]); };
  const Tensor odd = matmul(a6, term(a6, 13) + term(a4, 11) + term(a2, 9)) + term(a6, 7) +
                     term(a4, 5) + term(a2, 3) + term(one, 1);
  const Tensor v = matmul(a6, term(a6, 12) + term(a4, 10) + term(a2, 8)) + term(a6, 6) +
                   term(a4, 4) + term(a2, 2) + term(one, 0);
  const Tensor u = matmul(a, odd);
  return solve(v - u, v + u);
}

}  // namespace

Tensor expm(const Tensor& a) {
  const Tensor x = matrices("expm", a, true);
  if (x.size() == 0) return x;
  const Tensor size = stop_gradient(matrix_norm(x, MatrixNorm::kOne, true));
  const Tensor halvings = maximum(ceil(log2(where(size > 0, size, 1.0) / kPadeRadius)), 0.0);
  Tensor y = pade_exponential(x * exp2(neg(minimum(halvings, kMaxSquarings * 1.0))));
  for (int i = 0; i < kMaxSquarings; ++i) y = where(halvings > i * 1.0, matmul(y, y), y);
  return where(halvings <= kMaxSquarings * 1.0, y, NAN);
}

Tensor cho_solve(const Tensor& factor, const Tensor& b) {
  const Tensor y = triangular_solve(factor, b, {.lower = true});
  return triangular_solve(factor, y, {.lower = true, .transpose = true});
}

Tensor matrix_rank(const Tensor& a, std::optional<double> rtol) {
  const Tensor x = matrices("matrix_rank", a, false);
  const double share =
      rtol.value_or(static_cast<double>(std::max(x.shape(-1), x.shape(-2))) * finfo(x.dtype()).eps);
  const Tensor s = svdvals(x);
  return sum(astype(s > share * max(s, Axes{-1}, true), DType::kI32), -1);
}

Tensor cond(const Tensor& a) {
  const Tensor s = svdvals(matrices("cond", a, false));
  const Tensor largest = max(s, -1), least = min(s, -1);
  return where(equal(least, 0), HUGE_VAL, largest / where(equal(least, 0), 1.0, least));
}

namespace {

/// The product of matrices first … last, split where `split` says.
Tensor product(const std::vector<Tensor>& m, const std::vector<std::vector<size_t>>& split,
               size_t first, size_t last) {
  if (first == last) return m[first];
  const size_t k = split[first][last];
  return matmul(product(m, split, first, k), product(m, split, k + 1, last));
}

}  // namespace

Tensor multi_dot(const std::vector<Tensor>& given) {
  const size_t n = given.size();
  if (n < 2) fail<ValueError>("multi_dot: expected at least two matrices, got {}", n);
  std::vector<Tensor> m = given;
  const bool row = m.front().rank() == 1, column = m.back().rank() == 1;
  if (row) m.front() = expand_dims(m.front(), 0);
  if (column) m.back() = expand_dims(m.back(), 1);
  for (const Tensor& x : m)
    if (x.rank() != 2)
      fail<ShapeError>("multi_dot: expected matrices, got {}", to_string(x.type()));
  // Cormen et al., Introduction to Algorithms, section 15.2.
  std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
  std::vector<std::vector<size_t>> split(n, std::vector<size_t>(n, 0));
  for (size_t length = 1; length < n; ++length) {
    for (size_t i = 0; i + length < n; ++i) {
      const size_t j = i + length;
      cost[i][j] = std::numeric_limits<double>::infinity();
      for (size_t k = i; k < j; ++k) {
        const double here = cost[i][k] + cost[k + 1][j] +
                            static_cast<double>(m[i].shape(0)) *
                                static_cast<double>(m[k].shape(1)) *
                                static_cast<double>(m[j].shape(1));
        if (here >= cost[i][j]) continue;
        cost[i][j] = here;
        split[i][j] = k;
      }
    }
  }
  Tensor y = product(m, split, 0, n - 1);
  if (column) y = squeeze(y, Axes{1});
  return row ? squeeze(y, Axes{0}) : y;
}

Tensor tensorinv(const Tensor& a, int64_t ind) {
  if (ind < 1 || ind > static_cast<int64_t>(a.rank()))
    fail<ValueError>("tensorinv: expected from 1 to {} axes, got {}", a.rank(), ind);
  const Shape left(a.shape().begin(), a.shape().begin() + ind);
  const Shape right(a.shape().begin() + ind, a.shape().end());
  const int64_t n = element_count(left);
  if (element_count(right) != n)
    fail<ShapeError>("tensorinv: {} and {} of {} have different numbers of elements",
                     to_string(left), to_string(right), to_string(a.type()));
  Shape shape = right;
  shape.append(left.begin(), left.end());
  return reshape(inv(reshape(a, {n, n})), shape);
}

Tensor tensorsolve(const Tensor& a, const Tensor& b) {
  const int64_t n = b.size();
  if (a.rank() < b.rank() || a.size() != n * n)
    fail<ShapeError>(
        "tensorsolve: the shape of {} does not begin with that of {}, with as many "
        "elements behind it",
        to_string(a.type()), to_string(b.type()));
  const Shape shape(a.shape().begin() + static_cast<int64_t>(b.rank()), a.shape().end());
  return reshape(solve(reshape(a, {n, n}), ravel(b)), shape);
}

}  // namespace linnet::linalg
