// Rows of elementary and special functions and of activations.
#include <cmath>
#include <numbers>

#include "core/ops/activation.h"
#include "core/ops/scalar_primitives.h"
#include "linnet/primitive.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

/// Solves erf(y) = x by bisection in extended precision.
double inverse_erf(double x) {
  if (std::isnan(x) || std::abs(x) > 1) return std::nan("");
  if (std::abs(x) == 1) return std::copysign(INFINITY, x);
  if (std::abs(x) < 1e-9) return x * std::sqrt(std::numbers::pi) / 2;
  long double low = 0, high = 7;
  for (int step = 0; step < 90; ++step) {
    const long double middle = (low + high) / 2;
    (std::erf(middle) < std::abs(static_cast<long double>(x)) ? low : high) = middle;
  }
  return std::copysign(static_cast<double>(low), x);
}

/// Derivative of the logarithm of the gamma function: recurrence up to 20, then the asymptotic
/// series (Abramowitz and Stegun 6.3.18).
double digamma_series(double value) {
  long double x = value, sum = 0;
  while (x < 20) sum -= 1 / x++;
  const long double square = 1 / (x * x);
  const long double tail =
      square * (1.0L / 12 - square * (1.0L / 120 - square * (1.0L / 252 - square / 240)));
  return static_cast<double>(sum + std::log(x) - 1 / (2 * x) - tail);
}

double logistic(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
double soft_plus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}
double normal_density(double x) {
  return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}
double normal_distribution(double x) {
  return static_cast<double>(0.5L * std::erfc(-x / std::numbers::sqrt2_v<long double>));
}

/// sqrt(2/pi) (x + 0.044715 x^3) and its slope.
double gelu_argument(double x) {
  return std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
}
double gelu_argument_slope(double x) {
  return std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
}
double gelu_slope(double x) {
  const double t = std::tanh(gelu_argument(x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * gelu_argument_slope(x);
}

void add_exponentials(OpTable& table) {
  const auto row = [&](const char* name, Tensor (*f)(const Tensor&), double (*reference)(double),
                       double low, double high) {
    return table.add(name, f)
        .inputs(uniform(low, high))
        .takes(Takes::kAny)
        .gives(Gives::kFloating)
        .orders(3)
        .reference(reference);
  };
  row("exp", exp, std::exp, -3, 3);
  row("exp2", exp2, std::exp2, -3, 3);
  row("expm1", expm1, std::expm1, -2, 2);
  row("log", log, std::log, 0.3, 5);
  row("log2", log2, std::log2, 0.3, 5);
  row("log1p", log1p, std::log1p, -0.6, 4);
  row("sqrt", sqrt, std::sqrt, 0.4, 5).slopes({{0, INFINITY}, {4, 0.25}});
  row(
      "rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.5, 5);
  row("cbrt", cbrt, std::cbrt, 0.5, 4)
      .inputs({Shape{5}}, {uniform(-4, -0.5)})
      .slopes({{0, INFINITY}});
  row("sinh", sinh, std::sinh, -3, 3);
  row("cosh", cosh, std::cosh, -3, 3);
  row("tanh", tanh, std::tanh, -3, 3).ulps(4, 4);
  row("asinh", asinh, std::asinh, -4, 4);
  row("acosh", acosh, std::acosh, 1.5, 5);
  row("atanh", atanh, std::atanh, -0.8, 0.8);
}

void add_others(OpTable& table) {
  const auto row = [&](const char* name, Tensor (*f)(const Tensor&), double (*reference)(double),
                       double low, double high) {
    return table.add(name, f)
        .inputs(uniform(low, high))
        .takes(Takes::kAny)
        .gives(Gives::kFloating)
        .orders(3)
        .reference(reference);
  };
  row("sin", sin, std::sin, -4, 4);
  row("cos", cos, std::cos, -4, 4);
  row("tan", tan, std::tan, -1.1, 1.1).ulps(4, 4);
  row("asin", asin, std::asin, -0.8, 0.8);
  row("acos", acos, std::acos, -0.8, 0.8);
  row("atan", atan, std::atan, -4, 4);
  row("erf", erf, std::erf, -2, 2).ulps(4, 4);
  row("erfc", erfc, std::erfc, -2, 2).ulps(5, 6);
  row("erf_inv", erf_inv, inverse_erf, -0.8, 0.8).ulps(8, 64);
  row("lgamma", lgamma, std::lgamma, 0.5, 5)
      .ulps(4, 8)
      .slack(4)
      .inputs({Shape{4}}, {uniform(-0.8, -0.2)});
  row("digamma", digamma, digamma_series, 0.5, 5)
      .ulps(4, 8)
      .slack(8)
      .inputs({Shape{4}}, {uniform(-0.8, -0.2)})
      .no_special();
  const auto step = [&](const char* name, Tensor (*f)(const Tensor&), double (*reference)(double)) {
    table.add(name, f)
        .inputs(uniform(-4, 4).off(0.5))
        .takes(Takes::kAny)
        .zero_slope()
        .reference(reference);
  };
  step("floor", floor, std::floor);
  step("ceil", ceil, std::ceil);
  step("round", round, std::nearbyint);
  step("trunc", trunc, std::trunc);
}

void add_activations(OpTable& table) {
  const Values line = uniform(-4, 4);
  const auto smooth = [&](const char* name, Tensor (*f)(const Tensor&),
                          double (*reference)(double)) {
    return table.add(name, f)
        .inputs(line)
        .takes(Takes::kAny)
        .gives(Gives::kFloating)
        .orders(3)
        .ulps(4, 4)
        .reference(reference);
  };
  smooth("logistic", sigmoid, logistic);
  smooth("silu", silu, [](double x) {
    return std::isinf(x) && x < 0 ? -0.0 : x * logistic(x);
  }).no_special();
  smooth(
      "gelu_tanh", [](const Tensor& x) { return gelu(x, true); },
      [](double x) { return 0.5 * x * (1 + std::tanh(gelu_argument(x))); })
      .slack(4)
      .no_special();
  smooth(
      "gelu_erf", [](const Tensor& x) { return gelu(x, false); },
      [](double x) { return x * normal_distribution(x); })
      .ulps(5, 7)
      .no_special();
  smooth("softplus", softplus, soft_plus);
  smooth("log_sigmoid", log_sigmoid, [](double x) { return -soft_plus(-x); });
  table.add("relu", relu)
      .inputs(line.off(0.5))
      .takes(Takes::kAny)
      .gives(Gives::kUnchecked)
      .any_zero()
      .slopes({{0, 0}, {1, 1}, {-1, 0}})
      .reference([](double x) { return std::isnan(x) ? x : std::max(x, 0.0); });
  table.add("relu6", relu6)
      .inputs(uniform(-4, 9).off(0.5))
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .any_zero()
      .slopes({{0, 0}, {6, 0}, {1, 1}, {7, 0}})
      .reference([](double x) { return std::isnan(x) ? x : std::min(std::max(x, 0.0), 6.0); });
  table.add("leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.25); })
      .inputs(line.off(0.5))
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .slopes({{0, 1}})
      .reference([](double x) { return x >= 0 ? x : 0.25 * x; });
  table.add("elu", [](const Tensor& x) { return elu(x, 1.5); })
      .inputs(line.off(0.5))
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .orders(3)
      .ulps(4, 4)
      .slopes({{0, 1.5}})
      .reference([](double x) { return x > 0 ? x : 1.5 * std::expm1(x); });
}

/// Products of a derivative with a cotangent, which derivatives of activations are made of.
void add_gradients(OpTable& table) {
  const std::vector<Values> operands{uniform(-3, 3).off(0.5), uniform(-2, 2)};
  const auto row = [&](const char* name, Tensor (*f)(const Tensor&, const Tensor&),
                       double (*reference)(double, double)) {
    return table.add(name, f)
        .inputs(operands)
        .orders(2)
        .ulps(8, 8)
        .slack(8)
        .reference(reference)
        .no_special();
  };
  row(
      "relu_grad",
      [](const Tensor& x, const Tensor& ct) {
        return emit_one(relu_grad_primitive(), {x, ct});
      },
      [](double x, double ct) { return x > 0 ? ct : 0; })
      .takes(Takes::kNumbers);
  row(
      "silu_grad",
      [](const Tensor& x, const Tensor& ct) {
        return emit_one(silu_grad_primitive(), {x, ct});
      },
      [](double x, double ct) { return ct * logistic(x) * (1 + x * (1 - logistic(x))); });
  row(
      "gelu_tanh_grad",
      [](const Tensor& x, const Tensor& ct) {
        return emit_one(gelu_tanh_grad_primitive(), {x, ct});
      },
      [](double x, double ct) { return ct * gelu_slope(x); })
      .slack(32);
  row(
      "gelu_erf_grad",
      [](const Tensor& x, const Tensor& ct) {
        return emit_one(gelu_erf_grad_primitive(), {x, ct});
      },
      [](double x, double ct) { return ct * (normal_distribution(x) + x * normal_density(x)); })
      .slack(32);
  row(
      "tanh_grad_from_y",
      [](const Tensor& y, const Tensor& ct) {
        return emit_one(tanh_grad_from_y_primitive(), {y, ct});
      },
      [](double y, double ct) { return ct * (1 - y * y); })
      .slack(32);
  row(
      "logistic_grad_from_y",
      [](const Tensor& y, const Tensor& ct) {
        return emit_one(logistic_grad_from_y_primitive(), {y, ct});
      },
      [](double y, double ct) { return ct * y * (1 - y); })
      .slack(32);
}

}  // namespace

void add_function_cases(OpTable& table) {
  add_exponentials(table);
  add_others(table);
  add_activations(table);
  add_gradients(table);
}

}  // namespace linnet::testing
