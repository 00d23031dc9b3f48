// Accuracy of the float functions against long double references, for every instruction set of the
// machine, and agreement of the host's plain functions with the vector ones.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "hwy/targets.h"
#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/scalar/host.h"

namespace linnet::cpu::elementwise_accuracy_test {
namespace {

using Real = long double;
using Reference = std::function<Real(Real, Real)>;

/// Distance in units of the last place of a T near `exact`.
template <class T>
Real ulp_error(T got, Real exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e9L;
  const Real limit = std::numeric_limits<T>::max();
  const Real half_step = std::ldexp(Real(1), std::ilogb(limit) - std::numeric_limits<T>::digits);
  if (std::fabs(exact) >= limit + half_step) {
    // Overflow: infinity is right, and the largest number one unit off.
    if (std::isinf(got) && std::signbit(got) == std::signbit(exact)) return 0;
    if (std::isinf(exact)) return 1e9L;
    return got == std::copysign(std::numeric_limits<T>::max(), static_cast<T>(exact)) ? 1 : 1e9L;
  }
  if (std::isinf(got)) return std::fabs(exact) >= limit ? 1 : 1e9L;
  int exponent = exact == 0 ? std::numeric_limits<T>::min_exponent : std::ilogb(exact) + 1;
  exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
  const Real unit = std::ldexp(Real(1), exponent - std::numeric_limits<T>::digits);
  return std::fabs(static_cast<Real>(got) - exact) / unit;
}

struct Case {
  ScalarOp op;
  Real low, high;  // of the first operand
  double float_limit, double_limit;
  Reference reference;
  Real low2 = 0, high2 = 0;
  double param = 0;
};

Real logistic_exact(Real x) {
  return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
Real cdf_exact(Real x) { return 0.5L * std::erfc(-x * std::sqrt(0.5L)); }

std::vector<Case> cases() {
  const auto one = [](Real (*f)(Real)) { return Reference([f](Real x, Real) { return f(x); }); };
  const Real tiny = 1e-37L;
  std::vector<Case> list = {
      {ScalarOp::kExp, -110, 92, 1, 1, one(std::exp)},
      {ScalarOp::kExp2, -152, 130, 1, 1, one(std::exp2)},
      {ScalarOp::kExpm1, -30, 92, 2, 2, one(std::expm1)},
      {ScalarOp::kLog, tiny, 1e38L, 1, 1, one(std::log)},
      {ScalarOp::kLog, 0.5L, 2, 1, 1, one(std::log)},
      {ScalarOp::kLog2, tiny, 1e38L, 1, 1.5, one(std::log2)},
      {ScalarOp::kLog2, 0.5L, 2, 1, 1.5, one(std::log2)},
      {ScalarOp::kLog1p, -1, 1e6L, 0.51, 1.5, one(std::log1p)},
      {ScalarOp::kLog1p, -0.5L, 0.5L, 0.51, 1.5, one(std::log1p)},
      {ScalarOp::kSin, -8192, 8192, 2, 2, one(std::sin)},
      {ScalarOp::kCos, -8192, 8192, 2, 2, one(std::cos)},
      {ScalarOp::kTan, -8192, 8192, 4, 4, one(std::tan)},
      {ScalarOp::kSin, -1e30L, 1e30L, 2, 2, one(std::sin)},
      {ScalarOp::kCos, -4, 4, 2, 2, one(std::cos)},
      {ScalarOp::kAsin, -1, 1, 2, 2, one(std::asin)},
      {ScalarOp::kAcos, -1, 1, 2, 2, one(std::acos)},
      {ScalarOp::kAtan, -1e6L, 1e6L, 2, 2, one(std::atan)},
      {ScalarOp::kSinh, -90, 90, 3, 3, one(std::sinh)},
      {ScalarOp::kCosh, -90, 90, 3, 3, one(std::cosh)},
      {ScalarOp::kTanh, -12, 12, 4, 4, one(std::tanh)},
      {ScalarOp::kAsinh, -1e6L, 1e6L, 0.51, 4, one(std::asinh)},
      {ScalarOp::kAcosh, 1, 1e6L, 0.51, 4, one(std::acosh)},
      {ScalarOp::kAtanh, -1, 1, 0.51, 4, one(std::atanh)},
      {ScalarOp::kErf, -5, 5, 4, 4, one(std::erf)},
      {ScalarOp::kErfc, -5, 10, 5, 6, one(std::erfc)},
      {ScalarOp::kErfc, 0, 1, 5, 6, one(std::erfc)},
      {ScalarOp::kSqrt, 0, 1e30L, 0.501, 0.501, one(std::sqrt)},
      {ScalarOp::kCbrt, -1e30L, 1e30L, 1, 3, one(std::cbrt)},
      {ScalarOp::kRsqrt, tiny, 1e30L, 1.5, 1.5, [](Real x, Real) { return 1 / std::sqrt(x); }},
      {ScalarOp::kReciprocal, -1e6L, 1e6L, 0.501, 0.501, [](Real x, Real) { return 1 / x; }},
      {ScalarOp::kLgamma, 0.01L, 50, 4, 4, one(std::lgamma)},
      {ScalarOp::kLogistic, -100, 40, 4, 4, [](Real x, Real) { return logistic_exact(x); }},
      {ScalarOp::kSilu, -80, 40, 4, 4, [](Real x, Real) { return x * logistic_exact(x); }},
      {ScalarOp::kGeluErf, -12, 12, 5, 6, [](Real x, Real) { return x * cdf_exact(x); }},
      {ScalarOp::kSoftplus, -80, 80, 4, 4,
       [](Real x, Real) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }},
      {ScalarOp::kLogSigmoid, -80, 80, 4, 4,
       [](Real x, Real) {
         return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x));
       }},
      {ScalarOp::kElu, -20, 20, 3, 3, [](Real x, Real) { return x > 0 ? x : 0.5L * std::expm1(x); },
       0, 0, 0.5},
      {ScalarOp::kLeakyRelu, -20, 20, 0.501, 0.501,
       [](Real x, Real) { return x >= 0 ? x : x * 0.25L; }, 0, 0, 0.25},
      {ScalarOp::kAdd, -9, 9, 0.501, 0.501, [](Real x, Real y) { return x + y; }, -9, 9},
      {ScalarOp::kSub, -9, 9, 0.501, 0.501, [](Real x, Real y) { return x - y; }, -9, 9},
      {ScalarOp::kMul, -9, 9, 0.501, 0.501, [](Real x, Real y) { return x * y; }, -9, 9},
      {ScalarOp::kDiv, -9, 9, 0.501, 0.501, [](Real x, Real y) { return x / y; }, -9, 9},
      {ScalarOp::kRem, -1e4L, 1e4L, 0, 0, [](Real x, Real y) { return std::fmod(x, y); }, -9, 9},
      {ScalarOp::kPow, 0, 100, 0.51, 1, [](Real x, Real y) { return std::pow(x, y); }, -30, 30},
      {ScalarOp::kAtan2, -9, 9, 2, 2, [](Real y, Real x) { return std::atan2(y, x); }, -9, 9},
      {ScalarOp::kTanhGradFromY, -0.9L, 0.9L, 3, 3,
       [](Real y, Real ct) { return ct * (1 - y * y); }, -2, 2},
      {ScalarOp::kLogisticGradFromY, 0, 0.9L, 3, 3,
       [](Real y, Real ct) { return ct * y * (1 - y); }, -2, 2},
      {ScalarOp::kReluGrad, -3, 3, 0, 0, [](Real x, Real ct) { return x > 0 ? ct : 0; }, -2, 2},
  };
  return list;
}

template <class T>
std::vector<T> samples(Real low, Real high, int count, uint32_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  std::vector<T> values;
  const double smallest =
      std::log(std::max<Real>(1e-30L, std::fabs(low) > 0 && low > 0 ? low : 1e-30L));
  for (int i = 0; i < count; ++i) {
    Real x;
    if (i % 2 == 0) {
      x = low + (high - low) * unit(random);
    } else {  // all magnitudes alike
      const bool negative = low < 0 && unit(random) < 0.5;
      const double largest =
          std::log(static_cast<double>(negative ? -low : std::max<Real>(high, 1e-29L)));
      x = std::exp(static_cast<Real>(smallest + (largest - smallest) * unit(random)));
      if (negative) x = -x;
    }
    const T value = static_cast<T>(x);
    if (value >= low && value <= high) values.push_back(value);
  }
  return values;
}

template <class T>
void check(const ElementwiseTable& table, const Case& c, const char* target) {
  const double limit = sizeof(T) == 4 ? c.float_limit : c.double_limit;
  const std::vector<T> x = samples<T>(c.low, c.high, 6000, 1);
  std::vector<T> y = samples<T>(c.low2, c.high2, 6000, 2);
  y.resize(x.size(), T(1));
  std::vector<T> out(x.size());
  LoopCall call;
  call.in[0] = x.data();
  call.in[1] = y.data();
  call.out = out.data();
  call.count = static_cast<int64_t>(x.size());
  call.params = &c.param;
  table.get(c.op, dtype_of<T>())(call);
  Real worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const Real error = ulp_error<T>(out[i], c.reference(x[i], y[i]));
    if (error > worst) {
      worst = error;
      where = i;
    }
  }
  const ScalarOpInfo& info = scalar_op_info(c.op);
  EXPECT_LE(worst, limit) << target << " " << name_of(dtype_of<T>()) << " " << info.name << "("
                          << static_cast<double>(x[where]) << ", " << static_cast<double>(y[where])
                          << ") = " << static_cast<double>(out[where]);
  if (std::getenv("LINNET_SHOW_ULPS") != nullptr) {
    printf("%-8s %-4s %-22s [%g, %g] %.3f ulp at %.9g\n", target, name_of(dtype_of<T>()).data(),
           info.name.data(), static_cast<double>(c.low), static_cast<double>(c.high),
           static_cast<double>(worst), static_cast<double>(x[where]));
  }
}

std::vector<int64_t> machine_targets() {
  std::vector<int64_t> targets;
  for (const int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SCALAR}) {
    if (target == HWY_SCALAR || (hwy::SupportedTargets() & target) != 0) targets.push_back(target);
  }
  return targets;
}

TEST(ElementwiseAccuracy, FloatFunctions) {
  for (const int64_t target : machine_targets()) {
    const ElementwiseTable table = make_elementwise_table(target);
    for (const Case& c : cases()) {
      check<float>(table, c, hwy::TargetName(target));
      check<double>(table, c, hwy::TargetName(target));
    }
  }
}

template <class T>
T call_one(const ElementwiseTable& table, ScalarOp op, T x, T y = T(0), double param = 0) {
  T out = T(-77);
  LoopCall call;
  call.in[0] = &x;
  call.in[1] = &y;
  call.out = &out;
  call.count = 1;
  call.params = &param;
  table.get(op, dtype_of<T>())(call);
  return out;
}

/// Equal as floating point values including the sign of zero; any NaN equals any other.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

template <class T>
void check_special(const ElementwiseTable& table, const char* target) {
  const T inf = std::numeric_limits<T>::infinity();
  const T nan = std::numeric_limits<T>::quiet_NaN();
  const T denorm = std::numeric_limits<T>::denorm_min();
  struct Row {
    ScalarOp op;
    T x, expected;
  };
  const Row rows[] = {
      {ScalarOp::kExp, inf, inf},
      {ScalarOp::kExp, -inf, 0},
      {ScalarOp::kExp, T(-0.0), 1},
      {ScalarOp::kExp, nan, nan},
      {ScalarOp::kExp, denorm, 1},
      {ScalarOp::kExp2, T(-3), T(0.125)},
      {ScalarOp::kExp2, inf, inf},
      {ScalarOp::kExp2, -inf, 0},
      {ScalarOp::kExp2, nan, nan},
      {ScalarOp::kExpm1, inf, inf},
      {ScalarOp::kExpm1, -inf, -1},
      {ScalarOp::kExpm1, T(-0.0), T(-0.0)},
      {ScalarOp::kExpm1, denorm, denorm},
      {ScalarOp::kExpm1, nan, nan},
      {ScalarOp::kLog, 0, -inf},
      {ScalarOp::kLog, T(-0.0), -inf},
      {ScalarOp::kLog, inf, inf},
      {ScalarOp::kLog, T(-1), nan},
      {ScalarOp::kLog, -inf, nan},
      {ScalarOp::kLog, nan, nan},
      {ScalarOp::kLog, 1, 0},
      {ScalarOp::kLog, denorm, std::log(denorm)},
      {ScalarOp::kLog2, 8, 3},
      {ScalarOp::kLog2, denorm, std::log2(denorm)},
      {ScalarOp::kLog2, 0, -inf},
      {ScalarOp::kLog2, inf, inf},
      {ScalarOp::kLog2, T(-2), nan},
      {ScalarOp::kLog1p, T(-1), -inf},
      {ScalarOp::kLog1p, T(-2), nan},
      {ScalarOp::kLog1p, inf, inf},
      {ScalarOp::kLog1p, T(-0.0), T(-0.0)},
      {ScalarOp::kLog1p, denorm, denorm},
      {ScalarOp::kLog1p, nan, nan},
      {ScalarOp::kSin, inf, nan},
      {ScalarOp::kSin, T(-0.0), T(-0.0)},
      {ScalarOp::kSin, denorm, denorm},
      {ScalarOp::kCos, -inf, nan},
      {ScalarOp::kCos, 0, 1},
      {ScalarOp::kTan, T(-0.0), T(-0.0)},
      {ScalarOp::kTan, nan, nan},
      {ScalarOp::kAsin, 2, nan},
      {ScalarOp::kAcos, 1, 0},
      {ScalarOp::kSinh, inf, inf},
      {ScalarOp::kSinh, -inf, -inf},
      {ScalarOp::kSinh, T(-0.0), T(-0.0)},
      {ScalarOp::kSinh, nan, nan},
      {ScalarOp::kCosh, -inf, inf},
      {ScalarOp::kCosh, 0, 1},
      {ScalarOp::kCosh, nan, nan},
      {ScalarOp::kTanh, inf, 1},
      {ScalarOp::kTanh, -inf, -1},
      {ScalarOp::kTanh, T(-0.0), T(-0.0)},
      {ScalarOp::kTanh, nan, nan},
      {ScalarOp::kTanh, denorm, denorm},
      {ScalarOp::kAsinh, -inf, -inf},
      {ScalarOp::kAsinh, T(-0.0), T(-0.0)},
      {ScalarOp::kAcosh, T(0.5), nan},
      {ScalarOp::kAcosh, T(-5), nan},
      {ScalarOp::kAcosh, 1, 0},
      {ScalarOp::kAcosh, inf, inf},
      {ScalarOp::kAtanh, 1, inf},
      {ScalarOp::kAtanh, T(-1), -inf},
      {ScalarOp::kAtanh, T(1.5), nan},
      {ScalarOp::kAtanh, inf, nan},
      {ScalarOp::kErf, inf, 1},
      {ScalarOp::kErf, -inf, -1},
      {ScalarOp::kErf, nan, nan},
      {ScalarOp::kErf, T(-0.0), T(-0.0)},
      {ScalarOp::kErfc, inf, 0},
      {ScalarOp::kErfc, -inf, 2},
      {ScalarOp::kErfc, nan, nan},
      {ScalarOp::kErfInv, 1, inf},
      {ScalarOp::kErfInv, T(-1), -inf},
      {ScalarOp::kErfInv, T(1.5), nan},
      {ScalarOp::kErfInv, T(-0.0), T(-0.0)},
      {ScalarOp::kLogistic, -inf, 0},
      {ScalarOp::kLogistic, inf, 1},
      {ScalarOp::kLogistic, nan, nan},
      {ScalarOp::kSqrt, T(-0.0), T(-0.0)},
      {ScalarOp::kSqrt, T(-1), nan},
      {ScalarOp::kRsqrt, 0, inf},
      {ScalarOp::kRound, T(2.5), 2},
      {ScalarOp::kRound, T(3.5), 4},
      {ScalarOp::kRound, T(-0.5), T(-0.0)},
      {ScalarOp::kFloor, T(-1.5), -2},
      {ScalarOp::kCeil, T(-0.5), T(-0.0)},
      {ScalarOp::kTrunc, T(-1.5), -1},
      {ScalarOp::kFloor, nan, nan},
      {ScalarOp::kFloor, inf, inf},
      {ScalarOp::kSign, T(-0.0), T(-0.0)},
      {ScalarOp::kSign, -inf, -1},
      {ScalarOp::kSign, nan, nan},
      {ScalarOp::kAbs, T(-0.0), 0},
      {ScalarOp::kNeg, 0, T(-0.0)},
      {ScalarOp::kNeg, nan, nan},
      {ScalarOp::kRelu, nan, nan},
      {ScalarOp::kRelu, T(-3), 0},
      {ScalarOp::kRelu, 3, 3},
      {ScalarOp::kRelu6, 9, 6},
      {ScalarOp::kRelu6, nan, nan},
      {ScalarOp::kSoftplus, inf, inf},
      {ScalarOp::kSoftplus, -inf, 0},
      {ScalarOp::kSoftplus, nan, nan},
      {ScalarOp::kLogSigmoid, -inf, -inf},
      {ScalarOp::kGeluTanh, T(1e30), T(1e30)},
      {ScalarOp::kGeluTanh, T(-1e30), T(-0.0)},
      {ScalarOp::kGeluErf, T(1e30), T(1e30)},
      {ScalarOp::kGeluErf, T(-1e30), T(-0.0)},
      {ScalarOp::kGeluErf, nan, nan},
      {ScalarOp::kLgamma, T(-2), inf},
      {ScalarOp::kDigamma, T(-2), nan},
      {ScalarOp::kDigamma, 0, nan},
      {ScalarOp::kDigamma, inf, inf},
  };
  for (const Row& row : rows) {
    const T got = call_one(table, row.op, row.x);
    EXPECT_TRUE(same(got, row.expected) ||
                (std::isfinite(got) && row.x == denorm && ulp_error<T>(got, row.expected) <= 1))
        << target << " " << name_of(dtype_of<T>()) << " " << scalar_op_info(row.op).name << "("
        << row.x << ") = " << got << ", expected " << row.expected;
  }
  struct Row2 {
    ScalarOp op;
    T x, y, expected;
  };
  const Row2 rows2[] = {
      {ScalarOp::kMax, nan, 1, nan},
      {ScalarOp::kMax, 1, nan, nan},
      {ScalarOp::kMin, nan, 1, nan},
      {ScalarOp::kMin, 1, nan, nan},
      {ScalarOp::kMax, -inf, 2, 2},
      {ScalarOp::kMin, inf, 2, 2},
      {ScalarOp::kPow, T(-2), 3, -8},
      {ScalarOp::kPow, 0, 0, 1},
      {ScalarOp::kPow, nan, 0, 1},
      {ScalarOp::kPow, T(-2), T(0.5), nan},
      {ScalarOp::kPow, 0, -1, inf},
      {ScalarOp::kPow, inf, 2, inf},
      {ScalarOp::kPow, 2, inf, inf},
      {ScalarOp::kPow, 10, 2, 100},
      {ScalarOp::kPow, T(0.5), inf, 0},
      {ScalarOp::kLogaddexp, -inf, -inf, -inf},
      {ScalarOp::kLogaddexp, inf, -inf, inf},
      {ScalarOp::kLogaddexp, -inf, 3, 3},
      {ScalarOp::kLogaddexp, nan, 3, nan},
      {ScalarOp::kRem, T(-5), 3, -2},
      {ScalarOp::kRem, 5, T(-3), 2},
      {ScalarOp::kRem, 5, 0, nan},
      {ScalarOp::kDiv, 1, 0, inf},
      {ScalarOp::kDiv, 0, 0, nan},
      {ScalarOp::kNextafter, 0, 1, denorm},
      {ScalarOp::kNextafter, 1, 1, 1},
      {ScalarOp::kReluGrad, 0, 5, 0},
      {ScalarOp::kReluGrad, 1, nan, nan},
      {ScalarOp::kReluGrad, -1, nan, 0},
      {ScalarOp::kSiluGrad, inf, 2, 2},
      {ScalarOp::kSiluGrad, -inf, 2, T(-0.0)},
      {ScalarOp::kGeluTanhGrad, inf, 2, 2},
      {ScalarOp::kGeluErfGrad, inf, 2, 2},
  };
  for (const Row2& row : rows2) {
    const T got = call_one(table, row.op, row.x, row.y);
    const bool tiny =
        row.op == ScalarOp::kSiluGrad && std::fabs(got) < T(1e-30) && row.expected == 0;
    EXPECT_TRUE(tiny || same(got, row.expected))
        << target << " " << name_of(dtype_of<T>()) << " " << scalar_op_info(row.op).name << "("
        << row.x << ", " << row.y << ") = " << got << ", expected " << row.expected;
  }
  EXPECT_EQ(call_one<T>(table, ScalarOp::kIntegerPow, T(3), 0, 5), T(243));
  EXPECT_EQ(call_one<T>(table, ScalarOp::kIntegerPow, T(-2), 0, -3), T(-0.125));
  EXPECT_EQ(call_one<T>(table, ScalarOp::kIntegerPow, T(7), 0, 0), T(1));
}

TEST(ElementwiseAccuracy, SpecialValues) {
  for (const int64_t target : machine_targets()) {
    const ElementwiseTable table = make_elementwise_table(target);
    check_special<float>(table, hwy::TargetName(target));
    check_special<double>(table, hwy::TargetName(target));
  }
}

TEST(ElementwiseAccuracy, GeluAndItsDerivatives) {
  const ElementwiseTable& table = elementwise_table();
  const Real k = std::sqrt(2 / static_cast<Real>(M_PI));
  for (double x = -15; x <= 15; x += 0.037) {
    const Real u = k * (x + 0.044715L * x * x * x);
    const Real s = logistic_exact(2 * u);
    const Real slope = s + x * s * logistic_exact(-2 * u) * 2 * k * (1 + 3 * 0.044715L * x * x);
    const Real cdf = cdf_exact(x);
    const Real density = std::exp(-0.5L * x * x) / std::sqrt(2 * static_cast<Real>(M_PI));
    const Real l = logistic_exact(x);
    const float xf = static_cast<float>(x);
    EXPECT_NEAR(call_one<double>(table, ScalarOp::kGeluTanh, x), x * s, 1e-15 * (1 + std::fabs(x)));
    EXPECT_NEAR(call_one<float>(table, ScalarOp::kGeluTanh, xf), x * s, 4e-7 * std::fabs(x) + 1e-7);
    EXPECT_NEAR(call_one<double>(table, ScalarOp::kGeluTanhGrad, x, 2.0), 2 * slope, 1e-14);
    EXPECT_NEAR(call_one<float>(table, ScalarOp::kGeluTanhGrad, xf, 2.0f), 2 * slope, 3e-6);
    EXPECT_NEAR(call_one<double>(table, ScalarOp::kGeluErfGrad, x, 2.0), 2 * (cdf + x * density),
                1e-14);
    EXPECT_NEAR(call_one<float>(table, ScalarOp::kGeluErfGrad, xf, 2.0f), 2 * (cdf + x * density),
                3e-6);
    EXPECT_NEAR(call_one<double>(table, ScalarOp::kSiluGrad, x, 2.0), 2 * l * (1 + x * (1 - l)),
                1e-14);
    EXPECT_NEAR(call_one<float>(table, ScalarOp::kSiluGrad, xf, 2.0f), 2 * l * (1 + x * (1 - l)),
                3e-6);
  }
}

TEST(ElementwiseAccuracy, Digamma) {
  // psi(1) = -gamma, psi(1/2) = -gamma - 2 ln 2, psi(-1/2) = psi(1/2) + 2, psi(10) = -gamma + H_9.
  constexpr double kGamma = 0.57721566490153286;
  const ElementwiseTable& table = elementwise_table();
  EXPECT_NEAR(call_one<double>(table, ScalarOp::kDigamma, 1.0), -kGamma, 1e-14);
  EXPECT_NEAR(call_one<double>(table, ScalarOp::kDigamma, 0.5), -kGamma - 2 * M_LN2, 1e-14);
  EXPECT_NEAR(call_one<double>(table, ScalarOp::kDigamma, -0.5), 2 - kGamma - 2 * M_LN2, 1e-14);
  EXPECT_NEAR(call_one<double>(table, ScalarOp::kDigamma, 10.0), 7129.0 / 2520 - kGamma, 1e-14);
  EXPECT_NEAR(call_one<double>(table, ScalarOp::kDigamma, 1e8), std::log(1e8) - 0.5e-8, 1e-13);
}

/// The samplers fix these bits: erf(2 / sqrt 2), and erf_inv as a chain of separately rounded
/// steps.
TEST(ElementwiseAccuracy, SamplerFunctions) {
  for (const int64_t target : machine_targets()) {
    const ElementwiseTable table = make_elementwise_table(target);
    EXPECT_EQ(std::bit_cast<uint32_t>(call_one<float>(table, ScalarOp::kErf, 1.41421354f)),
              0x3F745A18u);
    for (float x = -0.99999f; x < 1; x += 0.00317f) {
      const float w = -static_cast<float>(std::log1p(static_cast<double>(-(x * x))));
      constexpr float kCentral[] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                                    -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                                    -0.00417768164f,  0.246640727f,    1.50140941f};
      constexpr float kTail[] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                                 -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                                 0.00943887047f,   1.00167406f,     2.83297682f};
      const bool central = w < 5;
      const float t = central ? w - 2.5f : std::sqrt(w) - 3;
      float p = (central ? kCentral : kTail)[0];
      for (int i = 1; i < 9; ++i) p = std::fma(p, t, (central ? kCentral : kTail)[i]);
      EXPECT_EQ(call_one<float>(table, ScalarOp::kErfInv, x), p * x) << x;
    }
    for (double x = -0.9999999; x < 1; x += 0.00317) {
      EXPECT_NEAR(std::erf(call_one<double>(table, ScalarOp::kErfInv, x)), x, 3e-16);
    }
    // The third piece: erfc keeps the digits that erf loses; rounding x * x costs a few of them.
    const double near_one = 1 - 1e-10;
    EXPECT_NEAR(std::erfc(call_one<double>(table, ScalarOp::kErfInv, near_one)) / (1 - near_one), 1,
                1e-9);
  }
}

/// The plain host functions follow the same text. Where no step depends on fusing they agree
/// exactly.
TEST(ElementwiseAccuracy, HostFunctionsAgree) {
  const ElementwiseTable& table = elementwise_table();
  for (float x = -20; x < 20; x += 0.0371f) {
    EXPECT_EQ(call_one<float>(table, ScalarOp::kErf, x), scalar::erf(x));
    EXPECT_EQ(call_one<float>(table, ScalarOp::kRelu6, x), scalar::relu6(x));
    EXPECT_LE(ulp_error<float>(scalar::tanh(x), std::tanh(static_cast<Real>(x))), 4);
    EXPECT_LE(ulp_error<float>(scalar::exp(x), std::exp(static_cast<Real>(x))), 1);
  }
}

}  // namespace
}  // namespace linnet::cpu::elementwise_accuracy_test
