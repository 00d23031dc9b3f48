// The one list of elementwise functions. Everything that enumerates them is generated from it: the
// enumeration, lookup by name, the declarations and definitions of the primitives, and the kernel
// tables of the back ends. Adding a function is one line
// here and one template in a kernels/scalar/*_inl.h.
//
//   std::optional<ScalarOp> op = find_scalar_op("tanh");
//   int operands = scalar_op_info(*op).arity;             // 1
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace linnet {

/// Which element types a function takes, and what it returns.
enum class ScalarKind : uint8_t {
  kNumber,        ///< integers and floats; returns the same type
  kNumberOrBool,  ///< also bool, where addition is or, multiplication and
  kFloat,         ///< floats; returns the same type
  kBits,          ///< integers and bool; returns the same type
  kInteger,       ///< integers; returns the same type
  kComparison,    ///< two operands of any one type; returns bool
  kPredicate,     ///< one float; returns bool
  kSelect,        ///< a bool, then two operands of any one type; returns that type
};

// X(enumerator, name, function, operands, parameters, kind, cost)
// `function` is the name in kernels/scalar and, with _primitive behind it, of the primitive.
// Parameters are numbers fixed for a whole call, handed to the function as doubles after the
// operands. Cost is relative to an addition (some 0.1 ns on one core) and decides how much work a
// thread gets. The accuracy of float functions and the behaviour of integers is stated where they
// are defined.
#define LINNET_SCALAR_PRIMITIVES(X)                                                             \
  X(kNeg, "neg", neg, 1, 0, kNumber, 1)                                                         \
  X(kAbs, "abs", abs, 1, 0, kNumber, 1)                                                         \
  X(kSign, "sign", sign, 1, 0, kNumber, 1)                                                      \
  X(kSquare, "square", square, 1, 0, kNumber, 1)                                                \
  X(kIntegerPow, "integer_pow", integer_pow, 1, 1, kNumber, 4)                                  \
  X(kReciprocal, "reciprocal", reciprocal, 1, 0, kFloat, 2)                                     \
  X(kSqrt, "sqrt", sqrt, 1, 0, kFloat, 2)                                                       \
  X(kRsqrt, "rsqrt", rsqrt, 1, 0, kFloat, 2)                                                    \
  X(kCbrt, "cbrt", cbrt, 1, 0, kFloat, 100)                                                     \
  X(kFloor, "floor", floor, 1, 0, kFloat, 1)                                                    \
  X(kCeil, "ceil", ceil, 1, 0, kFloat, 1)                                                       \
  X(kRound, "round", round, 1, 0, kFloat, 1)                                                    \
  X(kTrunc, "trunc", trunc, 1, 0, kFloat, 1)                                                    \
  X(kExp, "exp", exp, 1, 0, kFloat, 2)                                                          \
  X(kExp2, "exp2", exp2, 1, 0, kFloat, 2)                                                       \
  X(kExpm1, "expm1", expm1, 1, 0, kFloat, 2)                                                    \
  X(kLog, "log", log, 1, 0, kFloat, 4)                                                          \
  X(kLog2, "log2", log2, 1, 0, kFloat, 4)                                                       \
  X(kLog1p, "log1p", log1p, 1, 0, kFloat, 10)                                                   \
  X(kSin, "sin", sin, 1, 0, kFloat, 4)                                                          \
  X(kCos, "cos", cos, 1, 0, kFloat, 4)                                                          \
  X(kTan, "tan", tan, 1, 0, kFloat, 6)                                                          \
  X(kAsin, "asin", asin, 1, 0, kFloat, 100)                                                     \
  X(kAcos, "acos", acos, 1, 0, kFloat, 100)                                                     \
  X(kAtan, "atan", atan, 1, 0, kFloat, 100)                                                     \
  X(kSinh, "sinh", sinh, 1, 0, kFloat, 6)                                                       \
  X(kCosh, "cosh", cosh, 1, 0, kFloat, 6)                                                       \
  X(kTanh, "tanh", tanh, 1, 0, kFloat, 2)                                                       \
  X(kAsinh, "asinh", asinh, 1, 0, kFloat, 12)                                                   \
  X(kAcosh, "acosh", acosh, 1, 0, kFloat, 12)                                                   \
  X(kAtanh, "atanh", atanh, 1, 0, kFloat, 12)                                                   \
  X(kErf, "erf", erf, 1, 0, kFloat, 2)                                                          \
  X(kErfc, "erfc", erfc, 1, 0, kFloat, 6)                                                       \
  X(kErfInv, "erf_inv", erf_inv, 1, 0, kFloat, 12)                                              \
  X(kLgamma, "lgamma", lgamma, 1, 0, kFloat, 200)                                               \
  X(kDigamma, "digamma", digamma, 1, 0, kFloat, 200)                                            \
  X(kLogistic, "logistic", logistic, 1, 0, kFloat, 2)                                           \
  X(kRelu, "relu", relu, 1, 0, kNumber, 1)                                                      \
  X(kRelu6, "relu6", relu6, 1, 0, kNumber, 1)                                                   \
  X(kSilu, "silu", silu, 1, 0, kFloat, 2)                                                       \
  X(kGeluTanh, "gelu_tanh", gelu_tanh, 1, 0, kFloat, 3)                                         \
  X(kGeluErf, "gelu_erf", gelu_erf, 1, 0, kFloat, 6)                                            \
  X(kSoftplus, "softplus", softplus, 1, 0, kFloat, 6)                                           \
  X(kLogSigmoid, "log_sigmoid", log_sigmoid, 1, 0, kFloat, 6)                                   \
  X(kElu, "elu", elu, 1, 1, kFloat, 2)                                                          \
  X(kLeakyRelu, "leaky_relu", leaky_relu, 1, 1, kFloat, 1)                                      \
  X(kReluGrad, "relu_grad", relu_grad, 2, 0, kNumber, 1)                                        \
  X(kSiluGrad, "silu_grad", silu_grad, 2, 0, kFloat, 3)                                         \
  X(kGeluTanhGrad, "gelu_tanh_grad", gelu_tanh_grad, 2, 0, kFloat, 3)                           \
  X(kGeluErfGrad, "gelu_erf_grad", gelu_erf_grad, 2, 0, kFloat, 8)                              \
  X(kTanhGradFromY, "tanh_grad_from_y", tanh_grad_from_y, 2, 0, kFloat, 1)                      \
  X(kLogisticGradFromY, "logistic_grad_from_y", logistic_grad_from_y, 2, 0, kFloat, 1)          \
  X(kAdd, "add", add, 2, 0, kNumberOrBool, 1)                                                   \
  X(kSub, "sub", sub, 2, 0, kNumber, 1)                                                         \
  X(kMul, "mul", mul, 2, 0, kNumberOrBool, 1)                                                   \
  X(kDiv, "div", div, 2, 0, kNumber, 2)                                                         \
  X(kRem, "rem", rem, 2, 0, kNumber, 100)                                                       \
  X(kPow, "pow", pow, 2, 0, kNumber, 20)                                                        \
  X(kMax, "max", max, 2, 0, kNumberOrBool, 1)                                                   \
  X(kMin, "min", min, 2, 0, kNumberOrBool, 1)                                                   \
  X(kAtan2, "atan2", atan2, 2, 0, kFloat, 200)                                                  \
  X(kNextafter, "nextafter", nextafter, 2, 0, kFloat, 50)                                       \
  X(kLogaddexp, "logaddexp", logaddexp, 2, 0, kFloat, 6)                                        \
  X(kFma, "fma", fma, 3, 0, kFloat, 1)                                                          \
  X(kNot, "not", bitwise_not, 1, 0, kBits, 1)                                                   \
  X(kAnd, "and", bitwise_and, 2, 0, kBits, 1)                                                   \
  X(kOr, "or", bitwise_or, 2, 0, kBits, 1)                                                      \
  X(kXor, "xor", bitwise_xor, 2, 0, kBits, 1)                                                   \
  X(kShiftLeft, "shift_left", shift_left, 2, 0, kInteger, 1)                                    \
  X(kShiftRightLogical, "shift_right_logical", shift_right_logical, 2, 0, kInteger, 1)          \
  X(kShiftRightArithmetic, "shift_right_arithmetic", shift_right_arithmetic, 2, 0, kInteger, 1) \
  X(kEq, "eq", eq, 2, 0, kComparison, 1)                                                        \
  X(kNe, "ne", ne, 2, 0, kComparison, 1)                                                        \
  X(kLt, "lt", lt, 2, 0, kComparison, 1)                                                        \
  X(kLe, "le", le, 2, 0, kComparison, 1)                                                        \
  X(kGt, "gt", gt, 2, 0, kComparison, 1)                                                        \
  X(kGe, "ge", ge, 2, 0, kComparison, 1)                                                        \
  X(kIsFinite, "is_finite", is_finite, 1, 0, kPredicate, 1)                                     \
  X(kIsNan, "is_nan", is_nan, 1, 0, kPredicate, 1)                                              \
  X(kIsInf, "is_inf", is_inf, 1, 0, kPredicate, 1)                                              \
  X(kSelect, "select", select, 3, 0, kSelect, 1)

/// With the functions that no primitive stands for: kernels use them.
#define LINNET_SCALAR_FUNCTIONS(X)            \
  LINNET_SCALAR_PRIMITIVES(X)                 \
  X(kClamp, "clamp", clamp, 3, 0, kNumber, 1) \
  X(kPopcount, "popcount", popcount, 1, 0, kInteger, 4)

/// The elementwise functions.
enum class ScalarOp : uint8_t {
#define LINNET_SCALAR_ENUMERATOR(id, name, function, arity, params, kind, cost) id,
  LINNET_SCALAR_FUNCTIONS(LINNET_SCALAR_ENUMERATOR)
#undef LINNET_SCALAR_ENUMERATOR
};

/// One line of the list.
struct ScalarOpInfo {
  std::string_view name;
  int arity;
  int param_count;
  ScalarKind kind;
  int cost;
};

inline constexpr ScalarOpInfo kScalarOpInfos[] = {
#define LINNET_SCALAR_INFO(id, name, function, arity, params, kind, cost) \
  {name, arity, params, ScalarKind::kind, cost},
    LINNET_SCALAR_FUNCTIONS(LINNET_SCALAR_INFO)
#undef LINNET_SCALAR_INFO
};

inline constexpr int kScalarOpCount =
    static_cast<int>(sizeof(kScalarOpInfos) / sizeof(ScalarOpInfo));

constexpr const ScalarOpInfo& scalar_op_info(ScalarOp op) {
  return kScalarOpInfos[static_cast<int>(op)];
}

constexpr std::string_view name_of(ScalarOp op) { return scalar_op_info(op).name; }

/// Whether the result is bool whatever the operands are.
constexpr bool returns_bool(ScalarOp op) {
  const ScalarKind kind = scalar_op_info(op).kind;
  return kind == ScalarKind::kComparison || kind == ScalarKind::kPredicate;
}

/// A function of one operand and no parameters applied to a result before it is stored; none:
/// identity.
using Activation = std::optional<ScalarOp>;

/// The function of that name, if there is one.
constexpr std::optional<ScalarOp> find_scalar_op(std::string_view name) {
  for (int i = 0; i < kScalarOpCount; ++i) {
    if (kScalarOpInfos[i].name == name) return static_cast<ScalarOp>(i);
  }
  return std::nullopt;
}

}  // namespace linnet
