// Products of eight-bit floating numbers: a quarter of the memory traffic of f32, and on GPUs from
// compute capability 8.9 on (Ada, Hopper) the tensor cores' own kernels.
//
//   Tensor y = float8_dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {0}});
//
// is a `dot_general` whose operands, and cotangents on the way back, are rounded to eight bits with
// one factor for each tensor. Layers compute so under a policy (linnet/policy.h):
//
//   linen::with_policy(Body{}, {.compute = DType::kBF16, .products = Products::kFloat8})
//
// linnet.h does not include this header.
#pragma once

#include "linnet/float8.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

/// A tensor in eight bits: about `from_float8(bits, format) * scale`.
struct ScaledFloat8 {
  Tensor bits;   ///< u8, of the tensor's shape
  Tensor scale;  ///< f32[]
  Float8 format = Float8::kE4M3;
};

/// The eight-bit numbers nearest to x / scale, where the scale makes the largest of them the
/// largest number of the format: 448 in e4m3, 57344 in e5m2. The scale is 1 if all numbers are 0.
/// If one is infinite or NaN, so is the scale, and with it all that is computed with it. Rounded
/// are f32 numbers; f64 becomes f32 first. A derivative is an error.
/// @param x of a floating type.
/// @throws DTypeError for other types.
ScaledFloat8 quantize_float8(const Tensor& x, Float8 format = Float8::kE4M3);

/// lhs [batch..., m, k] times the transpose of rhs [batch..., n, k], with its factors:
/// [batch..., m, n] in `dtype`. Sums are of f32. Not differentiable in the bits.
///
/// Devices that have such products run them where m, n and k are multiples of 16. Elsewhere the
/// numbers are converted to bf16, which holds them all, and multiplied as such: the same products
/// of the same numbers. LINNET_LOG=kernels says which it was and why.
/// @throws DTypeError unless the bits are u8, `dtype` is f32, f16 or bf16, and one format is e4m3:
/// no device multiplies e5m2 by e5m2. ShapeError for other shapes.
Tensor scaled_dot(const ScaledFloat8& lhs, const ScaledFloat8& rhs, DType dtype = DType::kF32);

/// `dot_general` of floating tensors by `scaled_dot`: both operands in e4m3, cotangents in e5m2,
/// each with the scale of `quantize_float8`, for the product and for both of its gradients
/// (arXiv:2209.05433). What is kept for the gradients are the bits. Derivatives in forward mode
/// and of higher order are an error.
/// @throws DTypeError for operands that are not floating; as `dot_general` otherwise.
Tensor float8_dot_general(const Tensor& lhs, const Tensor& rhs, const DotDims& dims);

/// How layers multiply by their kernels: Dense, DenseGeneral, Linear, LinearGeneral, and what is
/// made of them (projections of attention, recurrent cells).
enum class Products : uint8_t {
  kPlain,  ///< `dot_general`
  kFloat8  ///< `float8_dot_general`
};
/// `plain`, `float8`.
std::string_view name_of(Products products);

/// What layers that are called on this thread do now.
Products layer_products();

/// While it lives, layers that are called on this thread multiply so. Programs that are traced
/// meanwhile keep to it, and others are not taken for them. A policy of a module has one for each
/// call.
class ScopedProducts {
 public:
  explicit ScopedProducts(Products products);
  ~ScopedProducts();
  ScopedProducts(const ScopedProducts&) = delete;
  ScopedProducts& operator=(const ScopedProducts&) = delete;

 private:
  Products before_;
};

}  // namespace linnet

#pragma GCC visibility pop
