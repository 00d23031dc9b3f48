#include <algorithm>

#include "core/linalg/matrices.h"
#include "linnet/control_flow.h"

namespace linnet::linalg {
namespace {

/// I - scale v v', which brings column k below the diagonal to zero.
struct Reflection {
  Tensor v, scale;
  LINNET_FIELDS(v, scale)
};

Reflection reflection_of(const Tensor& r, const Tensor& k) {
  const Tensor index = count_to(r.shape(0));
  const Tensor x = where(index >= k, column_of(r, k), 0.0), head = row_of(x, k);
  const Tensor squares = sum(square(x)), zero = equal(squares, 0);
  const Tensor length = where(zero, 0.0, sqrt(where(zero, 1.0, squares)));
  // Away from the head, so that nothing cancels.
  const Tensor v = x - where(equal(index, k), where(head > 0, -length, length), 0.0);
  const Tensor size = sum(square(v)), nothing = equal(size, 0);
  return {v, where(nothing, 0.0, 2 / where(nothing, 1.0, size))};
}

Tensor reflected(const Reflection& h, const Tensor& a) {
  return a - h.scale * outer(h.v, matmul(h.v, a));
}

Qr qr_one(const Tensor& a) {
  const int64_t m = a.shape(0), k = std::min(m, a.shape(1));
  const auto step = [](const Tensor& r, const Tensor& column) {
    const Reflection h = reflection_of(r, column);
    return std::pair(reflected(h, r), h);
  };
  const auto [r, reflections] = scan(step, a, count_to(k));
  const auto back = [](const Tensor& q, const Reflection& h) {
    return std::pair(reflected(h, q), std::tuple<>());
  };
  const Tensor q =
      scan(back, eye(m, k, 0, a.dtype()), reflections, ScanOptions{.reverse = true}).first;
  return {q, triu(slice_axis(r, 0, k, 0))};
}

}  // namespace

Qr qr(const Tensor& a) { return for_each_matrix(qr_one, matrices("qr", a, false)); }

}  // namespace linnet::linalg
