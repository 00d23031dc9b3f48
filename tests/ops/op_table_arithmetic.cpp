// Rows of arithmetic, selection, comparison and bits.
#include <cmath>

#include "core/ops/arithmetic.h"
#include "core/ops/creation.h"
#include "core/ops/placement.h"
#include "core/ops/random.h"
#include "linnet/checkpoint_policy.h"
#include "linnet/primitive.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

/// Larger of two numbers; NaN wins.
double larger(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? std::nan("") : std::max(a, b);
}
double smaller(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? std::nan("") : std::min(a, b);
}
double sign_of(double x) { return std::isnan(x) || x == 0 ? x : std::copysign(1.0, x); }
double log_add_exp(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::nan("");
  if (a == b) return a + std::log(2.0);
  return larger(a, b) + std::log1p(std::exp(-std::abs(a - b)));
}

void add_binary(OpTable& table) {
  const Values wide = uniform(-3, 3);
  table.add("add", add)
      .inputs(wide)
      .takes(Takes::kAny)
      .linear()
      .exact_integers()
      .reference([](double a, double b) { return a + b; });
  table.add("sub", sub)
      .inputs(wide)
      .takes(Takes::kNumbers)
      .linear()
      .reference([](double a, double b) { return a - b; });
  table.add("mul", mul)
      .inputs(wide)
      .takes(Takes::kAny)
      .orders(3)
      .exact_integers()
      .reference([](double a, double b) { return a * b; });
  table.add("div", div)
      .inputs({uniform(-3, 3), uniform(0.4, 3)})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .orders(3)
      .reference([](double a, double b) { return a / b; });
  table.add("rem", rem)
      .inputs({uniform(3.1, 3.9), uniform(2.1, 3)})
      .takes(Takes::kNumbers)
      .reference([](double a, double b) { return std::fmod(a, b); });
  table.add("pow", pow)
      .inputs({uniform(0.3, 3), uniform(-2, 2.4)})
      .takes(Takes::kAny)
      .gives(Gives::kUnchecked)
      .orders(3)
      .ulps(4, 4)
      .reference([](double a, double b) { return std::pow(a, b); });
  table.add("max", maximum)
      .inputs(wide)
      .takes(Takes::kAny)
      .any_zero()
      .exact_integers()
      .reference(larger);
  table.add("min", minimum)
      .inputs(wide)
      .takes(Takes::kAny)
      .any_zero()
      .exact_integers()
      .reference(smaller);
  table.add("atan2", atan2)
      .inputs({uniform(-3, 3), uniform(0.3, 3)})
      .inputs({Shape{5}}, {uniform(0.3, 2), uniform(-3, -0.3)})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .orders(3)
      .reference([](double a, double b) { return std::atan2(a, b); });
  table.add("nextafter", nextafter)
      .inputs(wide)
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .zero_slope();
  table.add("logaddexp", logaddexp)
      .inputs(wide)
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .orders(3)
      .ulps(4, 4)
      .slack(2)
      .reference(log_add_exp);
}

void add_unary(OpTable& table) {
  const Values wide = uniform(-3, 3);
  table.add("neg", neg).inputs(wide).takes(Takes::kNumbers).linear().reference([](double x) {
    return -x;
  });
  table.add("abs", abs)
      .inputs(wide.off(0.5))
      .takes(Takes::kNumbers)
      .exact_integers()
      .slopes({{0, 1}, {2, 1}, {-2, -1}})
      .reference([](double x) { return std::abs(x); });
  table.add("sign", sign)
      .inputs(wide.off(0.5))
      .takes(Takes::kNumbers)
      .zero_slope()
      .exact_integers()
      .reference(sign_of);
  table.add("square", square)
      .inputs(wide)
      .takes(Takes::kNumbers)
      .orders(3)
      .exact_integers()
      .slopes({{0, 0}})
      .reference([](double x) { return x * x; });
  table.add("reciprocal", reciprocal)
      .inputs(uniform(0.4, 3))
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .orders(3)
      .reference([](double x) { return 1 / x; });
  table.add("integer_pow", [](const Tensor& x) { return integer_pow(x, 3); })
      .inputs(wide)
      .takes(Takes::kNumbers)
      .orders(3)
      .exact_integers()
      .reference([](double x) { return x * x * x; });
  table.add("integer_pow_negative", [](const Tensor& x) { return integer_pow(x, -2); })
      .of("integer_pow")
      .inputs(uniform(0.4, 3))
      .takes(Takes::kUnchecked)
      .orders(3)
      .reference([](double x) { return 1 / (x * x); });
  table.add("integer_pow_one", [](const Tensor& x) { return integer_pow(x, 1); })
      .of("integer_pow")
      .inputs(wide)
      .takes(Takes::kNumbers)
      .linear()
      .reference([](double x) { return x; });
  table.add("integer_pow_zero", [](const Tensor& x) { return integer_pow(x, 0); })
      .of("integer_pow")
      .inputs(wide)
      .takes(Takes::kNumbers)
      .slopes({{0, 0}})
      .reference([](double) { return 1.0; });
  table.add("copy", [](const Tensor& x) { return emit_one(copy_primitive(), {x}); })
      .inputs(wide)
      .takes(Takes::kAny)
      .linear()
      .reference([](double x) { return x; });
  table
      .add("device_put",
           [](const Tensor& x) {
             return emit_one(device_put_primitive(), {x}, DevicePutParams{x.device()});
           })
      .sample({{{2, 3}, wide}})
      .sample({{{}, wide}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .reference([](const HostArray& x) { return x; });
  table.add("stop_gradient", stop_gradient)
      .inputs(wide)
      .takes(Takes::kAny)
      .zero_slope()
      .reference([](double x) { return x; });
  table
      .add(
          "checkpoint_name", +[](const Tensor& x) { return checkpoint_name(x, "x"); })
      .inputs(wide)
      .takes(Takes::kAny)
      .linear()
      .exact()
      .reference([](double x) { return x; });
  table
      .add("optimization_barrier",
           [](const TensorList& x) { return emit(optimization_barrier_primitive(), x); })
      .sample({{{3}, wide}, {{2, 2}, wide}})
      .sample({{{}, wide}, {{0}, wide}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .reference([](const HostArrays& x) { return x; });
}

void add_three_operands(OpTable& table) {
  const Values wide = uniform(-3, 3);
  table.add("select", [](const TensorList& x) { return where(x[0], x[1], x[2]); })
      .inputs({booleans(), wide, wide})
      .takes(Takes::kAny)
      .linear()
      .exact_integers()
      .reference([](double c, double a, double b) { return c != 0 ? a : b; })
      .no_special();
  table.add("fma", [](const TensorList& x) { return emit_one(fma_primitive(), x); })
      .inputs({wide, wide, wide})
      .orders(3)
      .reference([](double a, double b, double c) { return std::fma(a, b, c); })
      .no_special();
}

void add_comparisons(OpTable& table) {
  const auto comparison = [&](const char* name, Tensor (*f)(const Tensor&, const Tensor&),
                              double (*reference)(double, double)) {
    table.add(name, f)
        .inputs(integers(-1, 1).as(DType::kF64))
        .takes(Takes::kUnchecked)
        .gives(Gives::kUnchecked)
        .orders(0)
        .reference(reference);
    table.add((std::string(name) + "_numbers").c_str(), f)
        .of(name)
        .inputs(uniform(0, 3))
        .takes(Takes::kAny)
        .gives(Gives::kBool)
        .orders(0)
        .reference(reference);
  };
  comparison("eq", equal, [](double a, double b) { return double(a == b); });
  comparison("ne", not_equal, [](double a, double b) { return double(a != b); });
  comparison("lt", less, [](double a, double b) { return double(a < b); });
  comparison("le", less_equal, [](double a, double b) { return double(a <= b); });
  comparison("gt", greater, [](double a, double b) { return double(a > b); });
  comparison("ge", greater_equal, [](double a, double b) { return double(a >= b); });
  const auto predicate = [&](const char* name, Tensor (*f)(const Tensor&),
                             double (*reference)(double)) {
    table.add(name, f)
        .inputs({Shape{3, 3}, Shape{}},
                {given({NAN, 0, INFINITY, -INFINITY, 2, -NAN, 1e-30, 3, 4})})
        .takes(Takes::kAny)
        .orders(0)
        .gives(Gives::kBool)
        .reference(reference);
  };
  predicate("is_nan", is_nan, [](double x) { return double(std::isnan(x)); });
  predicate("is_inf", is_inf, [](double x) { return double(std::isinf(x)); });
  predicate("is_finite", is_finite, [](double x) { return double(std::isfinite(x)); });
}

int64_t whole(double x) { return static_cast<int64_t>(x); }

void add_bits(OpTable& table) {
  const Values bits = uniform(0, 100);
  table.add("and", bitwise_and)
      .inputs(bits)
      .takes(Takes::kIntegersAndBool)
      .orders(0)
      .exact_integers()
      .reference([](double a, double b) { return double(whole(a) & whole(b)); });
  table.add("or", bitwise_or)
      .inputs(bits)
      .takes(Takes::kIntegersAndBool)
      .orders(0)
      .exact_integers()
      .reference([](double a, double b) { return double(whole(a) | whole(b)); });
  table.add("xor", bitwise_xor)
      .inputs(bits)
      .takes(Takes::kIntegersAndBool)
      .orders(0)
      .exact_integers()
      .reference([](double a, double b) { return double(whole(a) ^ whole(b)); });
  table.add("not", bitwise_not)
      .inputs(uniform(-50, 50))
      .takes(Takes::kIntegersAndBool)
      .orders(0)
      .reference([](double a) { return double(~whole(a)); });
  const std::vector<Values> shift{uniform(-60, 60), uniform(0, 6)};
  table.add("shift_left", shift_left)
      .inputs({uniform(0, 3), uniform(0, 4)})
      .takes(Takes::kIntegers)
      .orders(0)
      .exact_integers()
      .reference([](double a, double b) { return double(whole(a) << whole(b)); });
  table.add("shift_right_logical", shift_right_logical)
      .inputs({uniform(0, 100), uniform(0, 6)})
      .takes(Takes::kIntegers)
      .orders(0)
      .exact_integers()
      .reference([](double a, double b) { return double(whole(a) >> whole(b)); });
  table.add("shift_right_arithmetic", shift_right_arithmetic)
      .inputs(shift)
      .takes(Takes::kIntegers)
      .orders(0)
      .exact_integers()
      .reference([](double a, double b) { return double(whole(a) >> whole(b)); });
}

}  // namespace

void add_arithmetic_cases(OpTable& table) {
  add_binary(table);
  add_unary(table);
  add_three_operands(table);
  add_comparisons(table);
  add_bits(table);
}

}  // namespace linnet::testing
