// What functions of matrices share.
#pragma once

#include "linnet/detail/format.h"
#include "linnet/linalg.h"
#include "linnet/transforms.h"

namespace linnet::linalg {

/// f32 at least.
inline Tensor real(const Tensor& x) {
  return is_floating(x.dtype()) && size_of(x.dtype()) >= 4 ? x : astype(x, DType::kF32);
}

/// Decompositions are of real matrices. @throws DTypeError that names the operation.
inline void refuse_complex(const char* operation, const Tensor& a) {
  if (!is_complex(a.dtype())) return;
  fail<DTypeError>("{}: complex numbers are not accepted, got {}", operation, to_string(a.type()));
}

/// @throws ShapeError unless `a` holds matrices, DTypeError if they are complex.
inline Tensor matrices(const char* operation, const Tensor& a, bool square) {
  refuse_complex(operation, a);
  if (a.rank() < 2 || (square && a.shape(-1) != a.shape(-2))) {
    fail<ShapeError>("{}: expected {}matrices [..., {}], got {}", operation,
                     square ? "square " : "", square ? "n, n" : "m, n", to_string(a.type()));
  }
  return real(a);
}

inline Tensor transposed(const Tensor& a) { return swapaxes(a, -1, -2); }
inline Tensor symmetric(const Tensor& a) { return (a + transposed(a)) / 2; }

/// `f` of each matrix of a batch: of tensors whose leading axes, all but the last two, are the
/// same.
template <class F, class... Rest>
auto for_each_matrix(F f, const Tensor& first, const Rest&... rest) {
  if (first.rank() == 2) return f(first, rest...);
  const Shape batch(first.shape().begin(), first.shape().end() - 2);
  const auto flat = [&](const Tensor& x) {
    return reshape(x, {element_count(batch), x.shape(-2), x.shape(-1)});
  };
  auto out = vmap(f)(flat(first), flat(rest)...);
  return tree::map(out, [&](const Tensor& y) {
    Shape shape = batch;
    shape.append(y.shape().begin() + 1, y.shape().end());
    return reshape(y, shape);
  });
}

/// Both with the same leading axes. A vector `b` is a matrix of one column: `vector` says so.
struct System {
  Tensor a, b;
  bool vector;
  /// The solution in the form of the right-hand side.
  Tensor of(const Tensor& x) const { return vector ? squeeze(x, Axes{-1}) : x; }
};
inline System system_of(const char* operation, const Tensor& matrix, const Tensor& right,
                        bool square) {
  refuse_complex(operation, right);
  Tensor a = matrices(operation, matrix, square), b = real(right);
  const bool vector = b.rank() == 1;
  if (vector) b = expand_dims(b, -1);
  if (b.rank() < 2 || b.shape(-2) != a.shape(-2)) {
    fail<ShapeError>("{}: expected a right-hand side [..., {}, k] for {}, got {}", operation,
                     a.shape(-2), to_string(matrix.type()), to_string(right.type()));
  }
  const DType dtype = promote_types(a.dtype(), b.dtype());
  const Shape batch = broadcast_shapes(operation, {a.shape().begin(), a.shape().end() - 2},
                                       {b.shape().begin(), b.shape().end() - 2});
  const auto spread = [&](const Tensor& x) {
    Shape shape = batch;
    shape.append(x.shape().end() - 2, x.shape().end());
    return broadcast_to(astype(x, dtype), shape);
  };
  return {spread(a), spread(b), vector};
}

/// 0 … n - 1, and row `k` or column `k` for a traced k.
inline Tensor count_to(int64_t n) { return iota(DType::kI32, {n}); }
inline Tensor row_of(const Tensor& a, const Tensor& k) {
  return take(a, k, 0, GatherMode::kPromiseInBounds);
}
inline Tensor column_of(const Tensor& a, const Tensor& k) {
  return take(a, k, 1, GatherMode::kPromiseInBounds);
}
inline Tensor diagonal(const Tensor& a) {
  return sum(a * eye(a.shape(-2), a.shape(-1), 0, a.dtype()), -1);
}

}  // namespace linnet::linalg
