// The elementwise kernels, for those who compile and those who choose them. A kernel computes all
// functions of a set for all types that are computed alike; it is called pointwise_<types>_<set>,
// and with _strided behind it takes operands that lie anywhere.
#pragma once

#include "core/ops/scalar_functions.h"

namespace linnet::cuda {

/// By how much code a function is, so that short ones do not pay with registers for long ones.
enum class FunctionSize { kShort, kLong, kRare };

constexpr FunctionSize function_size(ScalarOp op) {
  using enum ScalarOp;
  for (const ScalarOp short_one : {kIntegerPow, kReciprocal, kSqrt, kRsqrt, kDiv})
    if (op == short_one) return FunctionSize::kShort;
  // Their reduction of large arguments needs memory.
  for (const ScalarOp rare : {kSin, kCos, kTan})
    if (op == rare) return FunctionSize::kRare;
  const int cost = scalar_op_info(op).cost;
  return cost <= 1 ? FunctionSize::kShort : cost < 10 ? FunctionSize::kLong : FunctionSize::kRare;
}

/// The sets of functions.
enum class FunctionSet {
  kUnary,
  kBinary,
  kTernary,
  kUnaryLong,
  kBinaryLong,
  kUnaryRare,
  kBinaryRare,
  kCompare,   ///< two operands, bool result
  kClassify,  ///< one operand, bool result
};

/// @param floating the functions of floats are of all sizes; those of integers count as short.
/// @param wide of f64: what is long for it is rare.
constexpr FunctionSet function_set(ScalarOp op, bool floating, bool wide) {
  const ScalarOpInfo& info = scalar_op_info(op);
  if (info.kind == ScalarKind::kComparison) return FunctionSet::kCompare;
  if (info.kind == ScalarKind::kPredicate) return FunctionSet::kClassify;
  FunctionSize size = floating ? function_size(op) : FunctionSize::kShort;
  if (wide && size == FunctionSize::kLong) size = FunctionSize::kRare;
  if (info.arity == 3) return FunctionSet::kTernary;
  if (size == FunctionSize::kShort)
    return info.arity == 1 ? FunctionSet::kUnary : FunctionSet::kBinary;
  if (size == FunctionSize::kLong)
    return info.arity == 1 ? FunctionSet::kUnaryLong : FunctionSet::kBinaryLong;
  return info.arity == 1 ? FunctionSet::kUnaryRare : FunctionSet::kBinaryRare;
}

/// The types that are computed alike.
enum class Arithmetic { kFloat, kDouble, kI32, kU32, kI64, kU64, kBool };

// X(kernel, arithmetic, set, operands): kernels of packs, which have a twin for strided operands.
#define LINNET_POINTWISE_FLOAT(X)                    \
  X(pointwise_float_unary, Float, Unary, 1)          \
  X(pointwise_float_binary, Float, Binary, 2)        \
  X(pointwise_float_ternary, Float, Ternary, 3)      \
  X(pointwise_float_unary_long, Float, UnaryLong, 1) \
  X(pointwise_float_binary_long, Float, BinaryLong, 2)
#define LINNET_POINTWISE_DOUBLE(X)              \
  X(pointwise_double_unary, Double, Unary, 1)   \
  X(pointwise_double_binary, Double, Binary, 2) \
  X(pointwise_double_ternary, Double, Ternary, 3)
#define LINNET_POINTWISE_INTEGER(X)       \
  X(pointwise_i32_unary, I32, Unary, 1)   \
  X(pointwise_i32_binary, I32, Binary, 2) \
  X(pointwise_u32_unary, U32, Unary, 1)   \
  X(pointwise_u32_binary, U32, Binary, 2) \
  X(pointwise_i64_unary, I64, Unary, 1)   \
  X(pointwise_i64_binary, I64, Binary, 2) \
  X(pointwise_u64_unary, U64, Unary, 1)   \
  X(pointwise_u64_binary, U64, Binary, 2) \
  X(pointwise_bool_unary, Bool, Unary, 1) \
  X(pointwise_bool_binary, Bool, Binary, 2)
#define LINNET_POINTWISE_COMPARE(X)                 \
  X(pointwise_float_compare, Float, Compare, 2)     \
  X(pointwise_float_classify, Float, Classify, 1)   \
  X(pointwise_double_compare, Double, Compare, 2)   \
  X(pointwise_double_classify, Double, Classify, 1) \
  X(pointwise_i32_compare, I32, Compare, 2)         \
  X(pointwise_u32_compare, U32, Compare, 2)         \
  X(pointwise_i64_compare, I64, Compare, 2)         \
  X(pointwise_u64_compare, U64, Compare, 2)
/// Only with _strided: a thread has one element.
#define LINNET_POINTWISE_RARE(X)                       \
  X(pointwise_float_unary_rare, Float, UnaryRare, 1)   \
  X(pointwise_float_binary_rare, Float, BinaryRare, 2) \
  X(pointwise_double_unary_rare, Double, UnaryRare, 1) \
  X(pointwise_double_binary_rare, Double, BinaryRare, 2)

}  // namespace linnet::cuda
