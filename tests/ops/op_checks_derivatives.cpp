// Checks of derivatives: against differences, of the modes against each other, of their types.
#include <fmt/core.h>

#include <cmath>
#include <random>

#include "linnet/error.h"
#include "linnet/transforms.h"
#include "op_checks.h"

namespace linnet::testing {
namespace {

using Vector = std::vector<double>;

Vector flat(const TensorList& x) {
  Vector out;
  for (const Tensor& t : x) {
    const Vector part = t.to_vector<double>();
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

/// `values` in the shapes and dtypes of `like`.
TensorList shaped(const Vector& values, const TensorList& like) {
  TensorList out;
  size_t next = 0;
  for (const Tensor& t : like) {
    const size_t count = static_cast<size_t>(t.size());
    const Tensor part = from_span(std::span<const double>(values).subspan(next, count), t.shape());
    out.push_back(t.dtype() == DType::kF64 ? part : part.astype(t.dtype()));
    next += count;
  }
  return out;
}

Vector moved(const Vector& x, const Vector& direction, double step) {
  Vector out = x;
  for (size_t i = 0; i < out.size(); ++i) out[i] += step * direction[i];
  return out;
}

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
double norm(const Vector& a) { return std::sqrt(dot(a, a)); }
double largest(const Vector& a) {
  double out = 0;
  for (double v : a) out = std::max(out, std::abs(v));
  return out;
}

/// Multiples of 1/8 between -2 and 2, so that they are exact in every dtype.
Vector random_direction(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  Vector out(count);
  for (double& v : out) v = (static_cast<double>(engine() % 16) + 0.5) / 4 - 2;
  return out;
}
/// All unit vectors if there are few, else some random directions. Of nothing there is one.
std::vector<Vector> directions(size_t count, size_t most, unsigned seed) {
  std::vector<Vector> out;
  if (count == 0) return {Vector()};
  if (count <= most) {
    for (size_t i = 0; i < count; ++i) {
      out.emplace_back(count, 0.0);
      out.back()[i] = 1;
    }
  } else {
    for (unsigned k = 0; k < 3; ++k) out.push_back(random_direction(count, seed + k));
  }
  return out;
}

TensorList forward(const Problem& p, const TensorList& direction) {
  return jvp(p.f, p.x, direction).second;
}
TensorList reverse(const Problem& p, const TensorList& cotangent) {
  return vjp(p.f, p.x).second(cotangent);
}

/// Derivative along a direction by differences of four points a thousandth apart and of two points
/// a millionth apart. The first scheme hardly feels rounding, the second hardly curvature.
struct Differences {
  Vector four, two;
};
Differences differences(const Problem& p, const Vector& direction) {
  const Vector x = flat(p.x);
  double size = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    if (direction[i] != 0) size = std::max(size, std::abs(x[i]));
  }
  const auto at = [&](double step) { return flat(p.f(shaped(moved(x, direction, step), p.x))); };
  const double wide = 1e-3 * size, narrow = 1e-6 * size;
  const Vector a = at(-2 * wide), b = at(-wide), c = at(wide), d = at(2 * wide);
  const Vector below = at(-narrow), above = at(narrow);
  Differences out{Vector(a.size()), Vector(a.size())};
  for (size_t i = 0; i < a.size(); ++i) {
    out.four[i] = (a[i] - d[i] + 8 * (c[i] - b[i])) / (12 * wide);
    out.two[i] = (above[i] - below[i]) / (2 * narrow);
  }
  return out;
}

bool near(double value, double expected, double tolerance) {
  return std::abs(value - expected) <= tolerance * std::max(1.0, std::abs(expected));
}
bool agrees(double value, double four, double two) {
  constexpr double kTolerance = 1e-7;
  return near(value, four, kTolerance) || near(value, two, kTolerance);
}

/// Both modes at `p.x` against differences, in all directions or (beyond `most` elements) in some.
void compare_with_differences(const Problem& p, size_t most, Findings& findings) {
  const auto [y, pullback] = vjp(p.f, p.x);
  const size_t inputs = flat(p.x).size(), outputs = flat(y).size();
  const std::vector<Vector> from = directions(outputs, most, 11);
  std::vector<Vector> gradients;
  for (const Vector& v : from) gradients.push_back(flat(pullback(shaped(v, y))));
  for (const Vector& u : directions(inputs, most, 23)) {
    const Differences numeric = differences(p, u);
    const Vector tangent = flat(forward(p, shaped(u, p.x)));
    for (size_t i = 0; i < outputs; ++i) {
      if (agrees(tangent[i], numeric.four[i], numeric.two[i])) continue;
      findings.add(
          fmt::format("forward mode, output {}: {:.12g}, differences give {:.12g} and {:.12g}", i,
                      tangent[i], numeric.four[i], numeric.two[i]));
    }
    for (size_t k = 0; k < from.size(); ++k) {
      const double value = dot(gradients[k], u);
      const double four = dot(from[k], numeric.four), two = dot(from[k], numeric.two);
      if (agrees(value, four, two)) continue;
      findings.add(
          fmt::format("reverse mode, cotangent {}: {:.12g}, differences give {:.12g} and {:.12g}",
                      k, value, four, two));
    }
    if (!findings.empty()) return;
  }
}

/// Runs `body` on every sample in f64 (the dtype of derivatives).
template <class Body>
void for_each_problem(const OpCase& row, const char* what, Findings& findings, const Body& body) {
  for (const Sample& sample : row.samples) {
    const TensorList x = make_operands(sample, DType::kF64, 4);
    findings.set_context(fmt::format("{} of {}{}", what, row.name, describe(x)));
    body(problem_of(row, x));
  }
}

}  // namespace

void check_first_order(const OpCase& row, Findings& findings) {
  for_each_problem(row, "first order", findings,
                   [&](const Problem& p) { compare_with_differences(p, 64, findings); });
}

namespace {

/// x -> J(x)^T v and x -> J(x) u.
Problem gradient_of(const Problem& p, const Vector& v) {
  return {[f = p.f, v](const TensorList& x) {
            auto [y, pullback] = vjp(f, x);
            return pullback(shaped(v, y));
          },
          p.x};
}
Problem slope_of(const Problem& p, const Vector& u) {
  return {[f = p.f, u](const TensorList& x) { return jvp(f, x, shaped(u, x)).second; }, p.x};
}

/// Hessian of v f times u, nested in three ways: all are the same vector.
void compare_nestings(const Problem& p, const Vector& v, const Vector& u, Findings& findings) {
  const Problem gradient = gradient_of(p, v), slope = slope_of(p, u);
  const TensorList direction = shaped(u, p.x);
  const TensorList forward_over_reverse = forward(gradient, direction);
  const TensorList reverse_over_reverse = reverse(gradient, direction);
  const TensorList reverse_over_forward = reverse(slope, shaped(v, p.f(p.x)));
  const std::string a = difference(reverse_over_reverse, forward_over_reverse, 1e-12);
  const std::string b = difference(reverse_over_forward, forward_over_reverse, 1e-12);
  if (!a.empty()) findings.add("reverse over reverse: " + a);
  if (!b.empty()) findings.add("reverse over forward: " + b);
}

}  // namespace

void check_second_order(const OpCase& row, Findings& findings) {
  for_each_problem(row, "second order", findings, [&](const Problem& p) {
    const Vector v = random_direction(flat(p.f(p.x)).size(), 31);
    const Vector u = random_direction(flat(p.x).size(), 37);
    compare_with_differences(gradient_of(p, v), 8, findings);
    compare_with_differences(slope_of(p, u), 8, findings);
    compare_nestings(p, v, u, findings);
  });
}

void check_third_order(const OpCase& row, Findings& findings) {
  for_each_problem(row, "third order", findings, [&](const Problem& p) {
    const Vector u(flat(p.x).size(), 1.0);
    const Problem second = slope_of(slope_of(p, u), u);
    const Vector third = flat(forward(second, shaped(u, p.x)));
    const Differences numeric = differences(second, u);
    for (size_t i = 0; i < third.size(); ++i) {
      if (near(third[i], numeric.four[i], 1e-5)) continue;
      findings.add(fmt::format("output {}: {:.12g}, differences give {:.12g}", i, third[i],
                               numeric.four[i]));
    }
  });
}

namespace {

/// f(a x + b y) = a f(x) + b f(y).
void check_linear(const Problem& p, Findings& findings) {
  const Vector x = flat(p.x), y = random_direction(x.size(), 43);
  const Vector fx = flat(p.f(p.x)), fy = flat(p.f(shaped(y, p.x)));
  Vector mixed(x.size());
  for (size_t i = 0; i < x.size(); ++i) mixed[i] = 0.75 * x[i] - 1.5 * y[i];
  const Vector got = flat(p.f(shaped(mixed, p.x)));
  const double scale = 1e-13 * std::max(1.0, std::max(largest(fx), largest(fy)));
  for (size_t i = 0; i < got.size(); ++i) {
    const double expected = 0.75 * fx[i] - 1.5 * fy[i];
    if (std::abs(got[i] - expected) <= scale) continue;
    findings.add(
        fmt::format("not linear: output {}: {:.17g}, expected {:.17g}", i, got[i], expected));
  }
}

}  // namespace

void check_modes(const OpCase& row, Findings& findings) {
  for_each_problem(row, "modes", findings, [&](const Problem& p) {
    const auto [y, pullback] = vjp(p.f, p.x);
    const size_t inputs = flat(p.x).size(), outputs = flat(y).size();
    for (unsigned pair = 0; pair < 5; ++pair) {
      const Vector u = random_direction(inputs, 51 + pair),
                   v = random_direction(outputs, 61 + pair);
      const Vector tangent = flat(forward(p, shaped(u, p.x)));
      const double forward_value = dot(v, tangent);
      const double reverse_value = dot(flat(pullback(shaped(v, y))), u);
      const double scale = norm(v) * norm(tangent);
      if (std::abs(forward_value - reverse_value) <= 1e-12 * scale) continue;
      findings.add(
          fmt::format("v (J u) = {:.17g}, (J^T v) u = {:.17g}", forward_value, reverse_value));
    }
    if (row.linear) check_linear(p, findings);
  });
}

void check_low_precision_gradients(const OpCase& row, Findings& findings) {
  constexpr std::pair<DType, double> kTolerances[] = {
      {DType::kF32, 2e-6}, {DType::kBF16, 2e-2}, {DType::kF16, 2e-3}};
  for (const Sample& sample : row.samples) {
    for (const auto& [dtype, tolerance] : kTolerances) {
      if (!taken(row.takes, dtype)) continue;
      const TensorList x = make_operands(sample, dtype, 5);
      TensorList wide;
      for (const Tensor& t : x) {
        wide.push_back(is_floating(t.dtype()) && t.dtype() == dtype ? t.astype(DType::kF64) : t);
      }
      findings.set_context("gradient of " + row.name + describe(x));
      const Problem p = problem_of(row, x), exact = problem_of(row, wide);
      const Vector v = random_direction(flat(p.f(p.x)).size(), 71);
      const Vector got = flat(reverse(p, shaped(v, p.f(p.x))));
      const Vector expected = flat(reverse(exact, shaped(v, exact.f(exact.x))));
      const double scale = tolerance * row.gradient_scale * largest(expected);
      for (size_t i = 0; i < got.size(); ++i) {
        if (std::abs(got[i] - expected[i]) <= scale) continue;
        findings.add(fmt::format("element {}: {:.9g}, in f64 {:.9g}", i, got[i], expected[i]));
      }
    }
  }
}

namespace {

TensorList ones_of(const TensorList& like) {
  TensorList out;
  for (const Tensor& t : like) out.push_back(ones_like(t));
  return out;
}

/// Cotangents of all operands, integers among them, and of one that is not used.
void check_cotangent_types(const OpCase& row, const TensorList& x, Findings& findings) {
  TensorList operands = x;
  operands.push_back(ones({2}, DType::kF32));
  const size_t count = x.size();
  const TensorsFunction f = [&row, count](const TensorList& all) {
    TensorList floating;
    for (Tensor& y :
         row.function(TensorList(all.begin(), all.begin() + static_cast<int64_t>(count)))) {
      if (is_floating(y.dtype())) floating.push_back(std::move(y));
    }
    return floating;
  };
  const auto [y, pullback] = vjp(f, operands);
  const TensorList cotangents = pullback(ones_of(y));
  for (size_t i = 0; i < operands.size(); ++i) {
    if (cotangents[i].dtype() != operands[i].dtype() ||
        cotangents[i].shape() != operands[i].shape()) {
      findings.add(fmt::format("cotangent {} is {}, the operand {}", i,
                               to_string(cotangents[i].type()), to_string(operands[i].type())));
    }
    const bool zero = row.zero_slope || i == count || !is_floating(operands[i].dtype());
    if (zero && largest(cotangents[i].to_vector<double>()) != 0) {
      findings.add(fmt::format("cotangent {} of an operand without derivative is not zero", i));
    }
  }
  if (row.zero_slope && largest(flat(jvp(f, operands, ones_of(operands)).second)) != 0) {
    findings.add("the tangent of an operation without derivative is not zero");
  }
}

void check_no_gradient(const OpCase& row, const TensorList& x, Findings& findings) {
  const Problem p = problem_of(row, x);
  for (bool forward_mode : {false, true}) {
    try {
      if (forward_mode)
        forward(p, ones_of(p.x));
      else
        reverse(p, ones_of(p.f(p.x)));
      findings.add("was differentiated, although it has no derivative");
    } catch (const TraceError& error) {
      if (std::string(error.what()).find(row.primitive) == std::string::npos) {
        findings.add(std::string("the error does not name the primitive: ") + error.what());
      }
    }
  }
}

/// Derivatives where there is a choice.
void check_slopes(const OpCase& row, Findings& findings) {
  for (const auto& [point, expected] : row.slopes) {
    const Problem p{row.function, {from_vector(Vector{point}, {1})}};
    const double reverse_value = reverse(p, ones_of(p.x))[0].item<double>();
    const double forward_value = forward(p, ones_of(p.x))[0].item<double>();
    if (reverse_value == expected && forward_value == expected) continue;
    findings.add(fmt::format("slope at {}: reverse {}, forward {}, expected {}", point,
                             reverse_value, forward_value, expected));
  }
}

}  // namespace

void check_structure(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    for (DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
      if (!taken(row.takes, dtype)) continue;
      const TensorList x = make_operands(sample, dtype, 6);
      findings.set_context("cotangents of " + row.name + describe(x));
      if (row.no_gradient)
        check_no_gradient(row, x, findings);
      else
        check_cotangent_types(row, x, findings);
    }
  }
  check_slopes(row, findings);
}

}  // namespace linnet::testing
