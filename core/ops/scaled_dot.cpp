#include "core/ops/scaled_dot.h"

#include <algorithm>

#include "core/ops/dot.h"
#include "core/trace/operand_device.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

constexpr const char* kName = "scaled_dot";

void check_types(const ScaledDotParams& p, Inputs x) {
  if (x[0].dtype() != DType::kU8 || x[1].dtype() != DType::kU8) {
    fail<DTypeError>(
        "{}: expected bits of eight-bit numbers in u8, got {} and {}\n"
        "  hint: quantize_float8 makes them",
        kName, to_string(x[0].type()), to_string(x[1].type()));
  }
  if (p.lhs == Float8::kE5M2 && p.rhs == Float8::kE5M2) {
    fail<DTypeError>(
        "{}: no device multiplies {} by {}\n  hint: one of the operands has to be in {}", kName,
        name_of(p.lhs), name_of(p.rhs), name_of(Float8::kE4M3));
  }
  if (p.result != DType::kF32 && p.result != DType::kF16 && p.result != DType::kBF16) {
    fail<DTypeError>("{}: expected a result of f32, f16 or bf16, got {}", kName, name_of(p.result));
  }
}

TypeList infer_scaled_dot(const ScaledDotParams& p, Inputs x) {
  expect_operands(kName, 4, x);
  check_types(p, x);
  const Shape &lhs = x[0].shape(), &rhs = x[1].shape();
  const size_t rank = lhs.size();
  const bool fits = rank >= 2 && rhs.size() == rank && lhs.back() == rhs.back() &&
                    std::equal(lhs.begin(), lhs.end() - 2, rhs.begin());
  if (!fits) {
    fail<ShapeError>("{}: expected [batch..., m, k] and [batch..., n, k], got {} and {}", kName,
                     to_string(x[0].type()), to_string(x[1].type()));
  }
  for (const Tensor& scale : x.subspan(2)) {
    if (scale.rank() == 0 && scale.dtype() == DType::kF32) continue;
    fail<ShapeError>("{}: expected a scale f32[], got {}", kName, to_string(scale.type()));
  }
  Shape shape = lhs;
  shape.back() = rhs[rank - 2];
  return {{p.result, shape, false, x[0].device()}};
}

/// bf16 holds every number of both formats, and f32 every product of two.
TensorList decompose_scaled_dot(const ScaledDotParams& p, Inputs x) {
  const auto last = static_cast<int64_t>(x[0].rank()) - 1;
  Axes batch;
  for (int64_t axis = 0; axis < last - 1; ++axis) batch.push_back(axis);
  const DotParams dot{{last}, {last}, batch, batch, DType::kF32};
  const Tensor sums = emit_one(
      dot_general_primitive(),
      {from_float8(x[0], p.lhs, DType::kBF16), from_float8(x[1], p.rhs, DType::kBF16)}, dot);
  return {astype(sums * x[2] * x[3], p.result)};
}

/// [size, rows, k] as [size * rows, k].
Tensor rows_joined(const Tensor& x) { return reshape(x, {x.shape(0) * x.shape(1), x.shape(2)}); }

/// The product of bits of which one or both are batched, with the batch in front.
Tensor batched_product(const BatchedInputs& in, const Tensor& lhs_scale, const Tensor& rhs_scale,
                       const ScaledDotParams& p) {
  Tensor lhs = in.x[0], rhs = in.x[1];
  const auto product = [&] {
    return emit_one(scaled_dot_primitive(), {lhs, rhs, lhs_scale, rhs_scale}, p);
  };
  if (in.batched[0] && !in.batched[1] && lhs.rank() == 3) {
    const Shape shape{lhs.shape(0), lhs.shape(1), rhs.shape(0)};
    lhs = rows_joined(lhs);
    return reshape(product(), shape);
  }
  if (in.batched[1] && !in.batched[0] && rhs.rank() == 3) {
    const Shape shape{lhs.shape(0), rhs.shape(0), rhs.shape(1)};
    rhs = rows_joined(rhs);
    return moveaxis(reshape(product(), shape), 1, 0);
  }
  for (Tensor* operand : {&lhs, &rhs}) {
    if (in.batched[operand == &lhs ? 0 : 1]) continue;
    Shape shape = operand->shape();
    shape.insert(0, in.size);
    *operand = broadcast_to(*operand, shape);
  }
  return product();
}

/// Scales that differ within the batch follow a product without scales.
TensorList batch_scaled_dot(const ScaledDotParams& p, const BatchedInputs& in) {
  if (!in.batched[2] && !in.batched[3]) return {batched_product(in, in.x[2], in.x[3], p)};
  const OperandDevice here(in.x);
  const Tensor one = ones({});
  const ScaledDotParams wide{p.lhs, p.rhs, DType::kF32};
  Tensor y = in.batched[0] || in.batched[1]
                 ? batched_product(in, one, one, wide)
                 : emit_one(scaled_dot_primitive(), {in.x[0], in.x[1], one, one}, wide);
  const size_t rank = std::max(in.x[0].rank() - in.batched[0], in.x[1].rank() - in.batched[1]);
  for (const size_t i : {size_t{2}, size_t{3}}) {
    Shape shape{in.size};
    shape.resize(1 + rank, 1);
    y = y * (in.batched[i] ? reshape(in.x[i], shape) : in.x[i]);
  }
  return {astype(y, p.result)};
}

}  // namespace

const Primitive& scaled_dot_primitive() {
  static const Primitive& p =
      define(Composite<ScaledDotParams>{.name = kName,
                                        .decompose = decompose_scaled_dot,
                                        .infer = infer_scaled_dot,
                                        .batch = batch_scaled_dot,
                                        .nondifferentiable = bits_of({0, 1})});
  return p;
}

Tensor scaled_dot(const ScaledFloat8& lhs, const ScaledFloat8& rhs, DType dtype) {
  const TensorList operands{lhs.bits, rhs.bits, lhs.scale, rhs.scale};
  const ScaledDotParams params{lhs.format, rhs.format, dtype};
  infer_scaled_dot(params, operands);  // in the words of this function, whoever computes it
  return emit_one(scaled_dot_primitive(), operands, params);
}

}  // namespace linnet
