// Linear algebra: factors multiply back, have the form they should, and derivatives of every mode
// agree with differences.
#include "linnet/linalg.h"

#include <cmath>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/random.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::linalg_test {
namespace {

using testing::check_transforms;
using testing::expect_close;
using testing::expect_error;
using testing::expect_same;

Tensor randn(const Shape& shape, DType dtype = DType::kF64, int64_t seed = 1) {
  return random::normal(Key(seed), shape, DType::kF64).astype(dtype);
}
Tensor transposed(const Tensor& a) { return swapaxes(a, -1, -2); }
Tensor identity_of(const Tensor& a) { return eye(a.shape(-1), -1, 0, a.dtype()); }
double tolerance(DType dtype) { return dtype == DType::kF32 ? 2e-5 : 1e-11; }
void expect_orthonormal(const Tensor& q, const char* what) {
  const Tensor product = matmul(transposed(q), q);
  expect_same(product, broadcast_to(identity_of(product), product.shape()), tolerance(q.dtype()),
              what);
}
constexpr DType kBoth[] = {DType::kF32, DType::kF64};

TEST(Linalg, J_030_qr_is_reduced) {
  for (DType dtype : kBoth) {
    for (const Shape& shape : {Shape{5, 5}, {7, 4}, {3, 6}, {2, 3, 4, 2}, {1, 1}}) {
      const Tensor a = randn(shape, dtype);
      const auto [q, r] = linalg::qr(a);
      EXPECT_EQ(q.shape(-1), std::min(shape.end()[-1], shape.end()[-2]));
      expect_same(matmul(q, r), a, tolerance(dtype), "q r");
      expect_orthonormal(q, "q");
      expect_same(triu(r), r, 0, "r is upper triangular");
    }
  }
  const Tensor deficient = tensor({{1.0, 2.0}, {2.0, 4.0}, {0.0, 0.0}});
  expect_orthonormal(linalg::qr(deficient).q, "q of dependent columns");
}

TEST(Linalg, J_030_solve_inv_and_triangular_systems) {
  for (DType dtype : kBoth) {
    const Tensor a = randn({3, 6, 6}, dtype), b = randn({3, 6, 2}, dtype, 2);
    expect_same(matmul(a, linalg::solve(a, b)), b, 50 * tolerance(dtype), "a x");
    expect_same(matmul(a, linalg::inv(a)), broadcast_to(identity_of(a), a.shape()),
                50 * tolerance(dtype), "inverse");
    const Tensor one = a[0], right = b[0];
    expect_same(matmul(tril(one), linalg::triangular_solve(one, right)), right,
                1000 * tolerance(dtype), "lower");
    expect_same(matmul(triu(one), linalg::triangular_solve(one, right, {.lower = false})), right,
                1000 * tolerance(dtype), "upper");
    const Tensor unit = tril(one, -1) + identity_of(one);
    expect_same(
        matmul(transposed(unit),
               linalg::triangular_solve(one, right, {.transpose = true, .unit_diagonal = true})),
        right, 1000 * tolerance(dtype), "transposed, unit diagonal");
  }
  const Tensor a = tensor({{0.f, 2.f}, {3.f, 4.f}});  // needs an exchange of rows
  expect_close(linalg::solve(a, tensor({2.f, 10.f})), {2, 1}, 1e-6);
  expect_close(linalg::solve(tensor({{2, 0}, {0, 4}}), tensor({2, 2})), {1, 0.5}, 1e-6);
  const auto [order, l, u, sign] = linalg::lu(a);
  expect_same(matmul(l, u), take(a, order, 0), 1e-6, "l u");
  EXPECT_EQ(sign.item<float>(), -1);
  expect_error<ShapeError>(
      [] {
        linalg::solve(zeros({2, 3}), zeros({2}));
      },
      "solve: expected square matrices [..., n, n], got f32[2,3]");
  expect_error<ShapeError>(
      [] {
        linalg::solve(zeros({2, 2}), zeros({3}));
      },
      "expected a right-hand side [..., 2, k]");
}

TEST(Linalg, J_030_determinants) {
  // By numpy.
  expect_close(linalg::det(tensor({{1.0, 2.0}, {3.0, 4.0}})), {-2}, 1e-12);
  expect_close(linalg::det(tensor({{2.0, 0.0, 1.0}, {1.0, 3.0, 2.0}, {1.0, 1.0, 4.0}})), {18},
               1e-12);
  const Tensor a = randn({2, 5, 5});
  const auto [sign, logdet] = linalg::slogdet(a);
  expect_same(sign * exp(logdet), linalg::det(a), 1e-11, "sign and logarithm");
  expect_same(linalg::det(matmul(a[0], a[1])), linalg::det(a[0]) * linalg::det(a[1]), 1e-10,
              "of a product");
  const auto huge = linalg::slogdet(1e30 * identity_of(zeros({20, 20})));
  EXPECT_NEAR(huge.logdet.item<float>(), 20 * 30 * std::log(10.0), 1);
  EXPECT_EQ(linalg::det(ones({4, 4})).item<float>(), 0);
  // d det = the transposed adjugate, of a singular matrix, too.
  const Tensor singular = tensor({{1.0, 2.0}, {2.0, 4.0}});
  expect_close(grad([](const Tensor& x) { return linalg::det(x); })(singular), {4, -2, -2, 1},
               1e-12);
  const Tensor g = grad([](const Tensor& x) { return linalg::slogdet(x).logdet; })(a[0]);
  expect_same(g, transposed(linalg::inv(a[0])), 1e-10, "gradient of the logarithm");
}

TEST(Linalg, J_030_cholesky) {
  for (DType dtype : kBoth) {
    const Tensor x = randn({2, 5, 5}, dtype);
    const Tensor a = matmul(x, transposed(x)) + identity_of(x);
    const Tensor l = linalg::cholesky(a);
    expect_same(matmul(l, transposed(l)), a, 10 * tolerance(dtype), "l l'");
    expect_same(tril(l), l, 0, "lower triangular");
  }
}

TEST(Linalg, J_030_eigenvalues) {
  for (DType dtype : kBoth) {
    for (int64_t n : {1, 2, 5, 8, 31}) {
      const Tensor x = randn({n, n}, dtype), a = (x + transposed(x)) / 2;
      const auto [w, v] = linalg::eigh(a);
      expect_same(matmul(v * w, transposed(v)), a, 20 * tolerance(dtype), "v w v'");
      expect_orthonormal(v, "v");
      expect_same(sort(w), w, 0, "ascending");
    }
  }
  expect_close(linalg::eigvalsh(tensor({{2.0, 1.0}, {1.0, 2.0}})), {1, 3}, 1e-12);
  // Equal eigenvalues, a diagonal and nothing at all.
  expect_orthonormal(linalg::eigh(ones({4, 4}, DType::kF64)).v, "of equal values");
  expect_close(linalg::eigvalsh(tensor({{3.0, 0.0}, {0.0, -1.0}})), {-1, 3}, 0);
  EXPECT_EQ(linalg::eigh(zeros({0, 0})).w.shape(), (Shape{0}));
  const Tensor batch = randn({2, 3, 4, 4});
  expect_same(linalg::eigvalsh(batch)[1][2], linalg::eigvalsh(batch[1][2]), 1e-13, "in a batch");
}

TEST(Linalg, J_030_singular_values) {
  for (DType dtype : kBoth) {
    for (const Shape& shape : {Shape{5, 5}, {9, 4}, {3, 7}, {1, 4}, {2, 3, 5, 2}}) {
      const Tensor a = randn(shape, dtype);
      const auto [u, s, vt] = linalg::svd(a);
      expect_same(matmul(u * expand_dims(s, -2), vt), a, 10 * tolerance(dtype), "u s vt");
      expect_orthonormal(u, "u");
      expect_orthonormal(transposed(vt), "vt");
      expect_same(-sort(-s), s, 0, "descending");
    }
  }
  const Tensor rank_one = tensor({{1.0, 2.0}, {2.0, 4.0}, {0.0, 0.0}});
  const auto [u, s, vt] = linalg::svd(rank_one);
  expect_close(s, {5, 0}, 1e-12);
  expect_orthonormal(u, "u of a matrix of rank one");
  expect_same(matmul(u * s, vt), rank_one, 1e-12, "rank one");
  expect_orthonormal(linalg::svd(zeros({3, 2}, DType::kF64)).u, "u of zeros");
  EXPECT_EQ(linalg::svd(zeros({3, 0})).u.shape(), (Shape{3, 0}));
  EXPECT_EQ(linalg::svd(zeros({0, 3})).vt.shape(), (Shape{0, 3}));
}

TEST(Linalg, J_030_norms_and_powers) {
  const Tensor a = tensor({{1.0, -2.0}, {3.0, 4.0}});
  using linalg::MatrixNorm;
  // By numpy.
  expect_close(linalg::norm(a), {5.477225575051661}, 1e-12);
  expect_close(linalg::matrix_norm(a), {5.477225575051661}, 1e-12);
  expect_close(linalg::matrix_norm(a, MatrixNorm::kSpectral), {5.116672736016927}, 1e-12);
  expect_close(linalg::matrix_norm(a, MatrixNorm::kNuclear), {7.071067811865476}, 1e-12);
  expect_close(linalg::matrix_norm(a, MatrixNorm::kOne), {6}, 1e-12);
  expect_close(linalg::matrix_norm(a, MatrixNorm::kInfinity), {7}, 1e-12);
  EXPECT_EQ(linalg::matrix_norm(a, MatrixNorm::kOne, true).shape(), (Shape{1, 1}));
  expect_close(linalg::vector_norm(a, 3, 1), {std::cbrt(9.0), std::cbrt(91.0)}, 1e-12);
  expect_close(linalg::vector_norm(a, HUGE_VAL), {4}, 0);
  expect_close(linalg::vector_norm(a, -HUGE_VAL), {1}, 0);
  expect_close(linalg::vector_norm(tensor({0.0, 5.0, 0.0}), 0), {1}, 0);
  expect_same(linalg::matrix_power(a, 5), matmul(a, matmul(a, matmul(a, matmul(a, a)))), 1e-12,
              "fifth power");
  expect_same(linalg::matrix_power(a, -2), linalg::inv(matmul(a, a)), 1e-12, "negative");
  expect_same(linalg::matrix_power(a, 0), identity_of(a), 0, "none");
}

TEST(Linalg, J_030_least_squares) {
  const Tensor a = randn({6, 3}), b = randn({6}, DType::kF64, 2);
  const Tensor x = linalg::lstsq(a, b);
  expect_same(matmul(transposed(a), matmul(a, x) - b), zeros({3}, DType::kF64), 1e-11,
              "the rest is orthogonal to all columns");
  const Tensor deficient = tensor({{1.0, 1.0}, {1.0, 1.0}});
  expect_close(linalg::lstsq(deficient, tensor({1.0, 3.0})), {1, 1}, 1e-12);
  expect_same(linalg::pinv(transposed(a)), transposed(linalg::pinv(a)), 1e-11, "transposed");
}

TEST(Linalg, J_030_derivatives) {
  const Tensor a = randn({3, 3}) + 2 * identity_of(zeros({3, 3}, DType::kF64)), b = randn({3, 2});
  check_transforms([](const TensorList& x) { return linalg::solve(x[0], x[1]); }, {a, b});
  check_transforms([](const TensorList& x) { return linalg::inv(x[0]); }, {a});
  check_transforms(
      [](const TensorList& x) { return linalg::triangular_solve(x[0], x[1], {.lower = false}); },
      {a, b});
  check_transforms([](const TensorList& x) { return linalg::slogdet(x[0]).logdet; }, {a});
  check_transforms([](const TensorList& x) { return linalg::qr(x[0]).r; }, {randn({4, 3})});
  check_transforms([](const TensorList& x) { return linalg::qr(x[0]).q; }, {randn({4, 3})});
  const auto positive = [](const Tensor& x) { return matmul(x, transposed(x)) + identity_of(x); };
  check_transforms([&](const TensorList& x) { return linalg::cholesky(positive(x[0])); }, {a});
  check_transforms([](const TensorList& x) { return linalg::eigvalsh(x[0]); }, {a});
  check_transforms([](const TensorList& x) { return square(linalg::eigh(x[0]).v); }, {a});
  check_transforms([](const TensorList& x) { return linalg::svdvals(x[0]); }, {randn({4, 3})});
  check_transforms([](const TensorList& x) { return square(linalg::svd(x[0]).u); },
                   {randn({4, 3})});
  check_transforms([](const TensorList& x) { return square(linalg::svd(x[0]).vt); },
                   {randn({2, 3})});
  check_transforms([](const TensorList& x) { return linalg::pinv(x[0]); }, {randn({3, 2})});
}

}  // namespace
}  // namespace linnet::linalg_test
