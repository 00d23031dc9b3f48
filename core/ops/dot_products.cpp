// Products in NumPy's terms, on top of dot_general.
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

void check_inner(const char* operation, const Tensor& a, const Tensor& b, int64_t b_axis) {
  const int64_t k = a.shape(-1);
  if (k == b.shape(b_axis)) return;
  const bool transposed = b.rank() >= 2 && b.shape(-1) == k;
  fail<ShapeError>(
      "{}: inner sizes differ: lhs {} ends in {}, rhs {} {} {}{}", operation, to_string(a.type()),
      k, to_string(b.type()), b.rank() <= 2 ? "starts with" : "has in its last axis but one",
      b.shape(b_axis),
      transposed ? fmt::format("\n  hint: rhs looks transposed for an operand with {} columns", k)
                 : "");
}

void check_has_dimensions(const char* operation, const Tensor& a, const Tensor& b) {
  if (a.rank() && b.rank()) return;
  fail<ShapeError>(
      "{}: expected operands with at least one dimension, got {} and {}\n  hint: use * for scalars",
      operation, to_string(a.type()), to_string(b.type()));
}

Shape leading(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }

Tensor with_leading(const Tensor& x, const Shape& batch) {
  if (leading(x) == batch) return x;
  Shape shape = batch;
  shape.append(x.shape().end() - 2, x.shape().end());
  return broadcast_to(x, shape);
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_has_dimensions("matmul", a, b);
  const int64_t last = static_cast<int64_t>(a.rank()) - 1;
  const int64_t b_axis = b.rank() == 1 ? 0 : static_cast<int64_t>(b.rank()) - 2;
  check_inner("matmul", a, b, b_axis);
  // Without leading axes on the right, or with a vector, every other axis is a free one.
  if (b.rank() <= 2 || a.rank() == 1) {
    return dot_general(
        a, b, {.lhs_contract = {last}, .rhs_contract = {b_axis}, .lhs_batch = {}, .rhs_batch = {}});
  }
  const Shape batch =
      a.rank() == 2 ? leading(b) : broadcast_shapes("matmul", leading(a), leading(b));
  const Tensor lhs = with_leading(a, batch);
  const Tensor rhs = with_leading(b, batch);
  Axes axes;
  for (size_t i = 0; i < batch.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  const int64_t rank = static_cast<int64_t>(batch.size());
  return dot_general(
      lhs, rhs,
      {.lhs_contract = {rank + 1}, .rhs_contract = {rank}, .lhs_batch = axes, .rhs_batch = axes});
}

Tensor dot(const Tensor& a, const Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0) return mul(a, b);
  const int64_t b_axis = b.rank() == 1 ? 0 : static_cast<int64_t>(b.rank()) - 2;
  check_inner("dot", a, b, b_axis);
  return dot_general(a, b,
                     {.lhs_contract = {static_cast<int64_t>(a.rank()) - 1},
                      .rhs_contract = {b_axis},
                      .lhs_batch = {},
                      .rhs_batch = {}});
}

Tensor tensordot(const Tensor& a, const Tensor& b, const Axes& a_axes, const Axes& b_axes) {
  return dot_general(
      a, b, {.lhs_contract = a_axes, .rhs_contract = b_axes, .lhs_batch = {}, .rhs_batch = {}});
}

Tensor outer(const Tensor& a, const Tensor& b) {
  return mul(expand_dims(ravel(a), 1), expand_dims(ravel(b), 0));
}

}  // namespace linnet
