// Products of floating tensors in eight bits, with their gradients.
#include "linnet/float8_dot.h"

#include <limits>
#include <memory>

#include "core/ops/dot.h"
#include "core/ops/shape_ops.h"
#include "core/trace/operand_device.h"
#include "linnet/detail/format.h"
#include "linnet/transforms.h"

namespace linnet {
namespace {

/// The largest finite number of a format.
float largest_of(Float8 format) { return format == Float8::kE4M3 ? 448.f : 57344.f; }

Axes joined(const Axes& a, const Axes& b, const Axes& c) {
  Axes out = a;
  out.append(b.begin(), b.end());
  out.append(c.begin(), c.end());
  return out;
}

Axes counted(int64_t begin, size_t count) {
  Axes out;
  for (size_t i = 0; i < count; ++i) out.push_back(begin + static_cast<int64_t>(i));
  return out;
}

int64_t product_of(const Shape& shape, const Axes& axes) {
  int64_t out = 1;
  for (int64_t axis : axes) out *= shape[axis];
  return out;
}

/// [batch..., rows, columns], each of the two over some axes of a tensor.
ScaledFloat8 as_matrices(ScaledFloat8 x, const Axes& batch, const Axes& rows, const Axes& columns) {
  const Axes order = joined(batch, rows, columns);
  Shape shape;
  for (int64_t axis : batch) shape.push_back(x.bits.shape(axis));
  shape.push_back(product_of(x.bits.shape(), rows));
  shape.push_back(product_of(x.bits.shape(), columns));
  if (!is_in_order(order)) x.bits = transpose(x.bits, order);
  x.bits = reshape(x.bits, shape);
  return x;
}

/// A contraction and the two that are its gradients. Axes of the result are those of the batch,
/// then the free ones of lhs, then those of rhs.
class Float8Product {
 public:
  Float8Product(const PreparedDot& dot, Shape result)
      : p_(dot.params),
        dtype_(dot.lhs.dtype()),
        lhs_shape_(dot.lhs.shape()),
        rhs_shape_(dot.rhs.shape()),
        result_(std::move(result)),
        lhs_free_(free_axes(lhs_shape_.size(), p_.lhs_contract, p_.lhs_batch)),
        rhs_free_(free_axes(rhs_shape_.size(), p_.rhs_contract, p_.rhs_batch)) {
    const size_t batch = p_.lhs_batch.size();
    batch_ = counted(0, batch);
    rows_ = counted(static_cast<int64_t>(batch), lhs_free_.size());
    columns_ = counted(static_cast<int64_t>(batch + lhs_free_.size()), rhs_free_.size());
  }

  /// The result and what `backward` wants: bits and scales of both operands.
  TensorList forward(const TensorList& x) const {
    const ScaledFloat8 lhs = quantize_float8(x[0]), rhs = quantize_float8(x[1]);
    const Tensor y = product(as_matrices(lhs, p_.lhs_batch, lhs_free_, p_.lhs_contract),
                             as_matrices(rhs, p_.rhs_batch, rhs_free_, p_.rhs_contract));
    return {reshape(y, result_), lhs.bits, lhs.scale, rhs.bits, rhs.scale};
  }

  /// Cotangents of both operands.
  TensorList backward(const TensorList& x) const {
    const ScaledFloat8 lhs{x[0], x[1]}, rhs{x[2], x[3]};
    const ScaledFloat8 ct = quantize_float8(x[4], Float8::kE5M2);
    const Tensor dlhs = product(as_matrices(ct, batch_, rows_, columns_),
                                as_matrices(rhs, p_.rhs_batch, p_.rhs_contract, rhs_free_));
    const Tensor drhs = product(as_matrices(lhs, p_.lhs_batch, p_.lhs_contract, lhs_free_),
                                as_matrices(ct, batch_, columns_, rows_));
    return {with_axes(dlhs, joined(p_.lhs_batch, lhs_free_, p_.lhs_contract), lhs_shape_),
            with_axes(drhs, joined(p_.rhs_batch, p_.rhs_contract, rhs_free_), rhs_shape_)};
  }

 private:
  Tensor product(const ScaledFloat8& lhs, const ScaledFloat8& rhs) const {
    const bool wide = dtype_ == DType::kF64;
    const Tensor y = scaled_dot(lhs, rhs, wide ? DType::kF32 : dtype_);
    return wide ? astype(y, dtype_) : y;
  }
  /// Matrices as a tensor of `shape`, whose axes they hold in `order`.
  static Tensor with_axes(const Tensor& x, const Axes& order, const Shape& shape) {
    Shape sizes;
    for (int64_t axis : order) sizes.push_back(shape[axis]);
    const Tensor y = reshape(x, sizes);
    return is_in_order(order) ? y : transpose(y, inverse(order));
  }

  DotParams p_;
  DType dtype_;
  Shape lhs_shape_, rhs_shape_, result_;
  Axes lhs_free_, rhs_free_;
  Axes batch_, rows_, columns_;  ///< of the result
};

/// Bits and scale.
template <Float8 kFormat>
TensorList rounded(const TensorList& x) {
  const Tensor wide = astype(x[0], DType::kF32);
  if (element_count(wide.shape()) == 0) {
    const OperandDevice here(x);
    return {to_float8(wide, kFormat), ones({})};
  }
  const Tensor size = max(abs(wide));
  // Not smaller than a normal number: its reciprocal is finite too. NaN stays NaN.
  const Tensor least(std::numeric_limits<float>::min());
  const Tensor scale = where(equal(size, 0), 1.f, maximum(size / largest_of(kFormat), least));
  return {to_float8(wide / scale, kFormat, Float8Overflow::kSaturate), scale};
}

/// Bits carry no derivative, and nobody should take that for 0.
TensorList refuse_derivative(const TensorList&) {
  fail<TraceError>(
      "quantize_float8: rounding to eight bits has no derivative\n"
      "  hint: float8_dot_general has one, of the first order in reverse mode");
}

template <Float8 kFormat>
std::shared_ptr<const detail::CustomVjpRule> rounding_rule() {
  static const auto rule = std::make_shared<const detail::CustomVjpRule>(
      detail::CustomVjpRule{rounded<kFormat>, rounded<kFormat>, refuse_derivative});
  return rule;
}

std::shared_ptr<const detail::CustomVjpRule> rounding_rule(Float8 format) {
  return format == Float8::kE4M3 ? rounding_rule<Float8::kE4M3>() : rounding_rule<Float8::kE5M2>();
}

constinit thread_local Products current_products = Products::kPlain;

}  // namespace

ScaledFloat8 quantize_float8(const Tensor& x, Float8 format) {
  if (!is_floating(x.dtype()))
    fail<DTypeError>("quantize_float8: expected a floating type, got {}", to_string(x.type()));
  const TensorList parts = detail::custom_vjp_call({x}, rounding_rule(format));
  return {parts[0], parts[1], format};
}

Tensor float8_dot_general(const Tensor& lhs, const Tensor& rhs, const DotDims& dims) {
  if (!is_floating(lhs.dtype()) || !is_floating(rhs.dtype())) {
    fail<DTypeError>("float8_dot_general: expected floating operands, got {} and {}",
                     to_string(lhs.type()), to_string(rhs.type()));
  }
  const PreparedDot dot = prepare_dot("float8_dot_general", lhs, rhs, dims, {});
  const TensorList operands{dot.lhs, dot.rhs};
  const Shape result = dot_general_primitive().infer(dot.params, operands)[0].shape;
  if (element_count(dot.lhs.shape()) == 0 || element_count(dot.rhs.shape()) == 0)
    return emit_one(dot_general_primitive(), operands, dot.params);
  const auto product = std::make_shared<const Float8Product>(dot, result);
  auto rule = std::make_shared<detail::CustomVjpRule>();
  rule->f = [product](const TensorList& x) { return TensorList{product->forward(x)[0]}; };
  rule->fwd = [product](const TensorList& x) { return product->forward(x); };
  rule->bwd = [product](const TensorList& x) { return product->backward(x); };
  return detail::custom_vjp_call(operands, rule)[0];
}

std::string_view name_of(Products products) {
  return products == Products::kFloat8 ? "float8" : "plain";
}

Products layer_products() { return current_products; }

ScopedProducts::ScopedProducts(Products products) : before_(current_products) {
  current_products = products;
}
ScopedProducts::~ScopedProducts() { current_products = before_; }

}  // namespace linnet
