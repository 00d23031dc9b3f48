#include "op_checks.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>

namespace linnet::testing {

std::string Findings::text() const {
  std::string out = fmt::format("{} findings", count_);
  for (const std::string& text : texts_) out += "\n  " + text;
  return out;
}

std::string describe(const TensorList& operands) {
  std::string out = "(";
  for (const Tensor& x : operands) {
    out += (out.size() > 1 ? ", " : "") + type_string(x.dtype(), x.shape());
  }
  return out + ")";
}

std::vector<double> numbers_of(const Tensor& x) {
  if (!is_complex(x.dtype())) return x.to_vector<double>();
  std::vector<double> out;
  for (const std::complex<double>& z : x.to_vector<std::complex<double>>()) {
    out.push_back(z.real());
    out.push_back(z.imag());
  }
  return out;
}

std::string difference(const TensorList& got, const TensorList& expected, double tolerance) {
  if (got.size() != expected.size()) {
    return fmt::format("{} results, expected {}", got.size(), expected.size());
  }
  for (size_t k = 0; k < got.size(); ++k) {
    if (got[k].dtype() != expected[k].dtype() || got[k].shape() != expected[k].shape()) {
      return fmt::format("result {} is {}, expected {}", k, to_string(got[k].type()),
                         to_string(expected[k].type()));
    }
    const std::vector<double> a = numbers_of(got[k]), b = numbers_of(expected[k]);
    double largest = 1;
    for (double v : b) {
      if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    }
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::isnan(a[i]) && std::isnan(b[i])) continue;
      const bool same = a[i] == b[i] && (tolerance > 0 || std::signbit(a[i]) == std::signbit(b[i]));
      if (same || (tolerance > 0 && std::abs(a[i] - b[i]) <= tolerance * largest)) continue;
      return fmt::format("result {} element {}: {:.17g}, expected {:.17g}", k, i, a[i], b[i]);
    }
  }
  return {};
}

double tolerance_in(DType dtype, double tolerance) {
  if (!is_floating(dtype)) return tolerance;
  return tolerance * finfo(dtype).eps / finfo(DType::kF64).eps;
}

Problem problem_of(const OpCase& row, const TensorList& operands) {
  std::vector<size_t> positions;
  Problem out;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool constant = std::find(row.constants.begin(), row.constants.end(),
                                    static_cast<int>(i)) != row.constants.end();
    if (constant || !is_floating(operands[i].dtype())) continue;
    positions.push_back(i);
    out.x.push_back(operands[i]);
  }
  out.f = [f = row.function, operands, positions](const TensorList& part) {
    TensorList all = operands;
    for (size_t i = 0; i < positions.size(); ++i) all[positions[i]] = part[i];
    TensorList floating;
    for (Tensor& y : f(all)) {
      if (is_floating(y.dtype())) floating.push_back(std::move(y));
    }
    return floating;
  };
  return out;
}

namespace {

bool always(const OpCase&) { return true; }
bool has_reference(const OpCase& row) { return static_cast<bool>(row.reference); }
bool has_special(const OpCase& row) {
  return row.elementwise && row.special_values && is_floating(row.base_dtype());
}
bool has_real_operand(const OpCase& row) {
  for (const Sample& sample : row.samples) {
    for (const Operand& operand : sample) {
      if (!operand.values.dtype) return true;
    }
  }
  return false;
}
bool has_nan(const OpCase& row) {
  return row.nan && has_reference(row) && has_real_operand(row) && is_floating(row.base_dtype());
}
bool has_operand(const OpCase& row) { return !row.samples[0].empty(); }
/// Whether there is something to differentiate at all.
bool has_derivative(const OpCase& row) {
  if (row.no_gradient || !has_operand(row)) return false;
  const Problem p = problem_of(row, make_operands(row.samples[0], row.base_dtype(), 0));
  return !p.x.empty() && !p.f(p.x).empty();
}
template <int kOrder>
bool has_order(const OpCase& row) {
  return row.orders >= kOrder && has_derivative(row);
}
bool has_structure(const OpCase& row) { return row.no_gradient || has_derivative(row); }
bool has_low_precision(const OpCase& row) {
  return row.orders >= 1 && row.low_precision && has_derivative(row);
}

}  // namespace

std::span<const Check> all_checks() {
  static constexpr Check kChecks[] = {
      {"R_014_R_015_values", has_reference, check_values},
      {"R_028_R_029_special_values", has_special, check_special_values},
      {"R_028_nan", has_nan, check_nan},
      {"R_030_dtypes", has_real_operand, check_dtypes},
      {"R_026_R_027_strides", has_operand, check_strides},
      {"R_001_J_147_first_order", has_order<1>, check_first_order},
      {"R_002_J_147_second_order", has_order<2>, check_second_order},
      {"R_003_third_order", has_order<3>, check_third_order},
      {"R_004_R_005_modes", has_order<1>, check_modes},
      {"R_006_low_precision_gradients", has_low_precision, check_low_precision_gradients},
      {"R_007_compositions", has_order<1>, check_compositions},
      {"R_009_structure", has_structure, check_structure},
      {"vmap", has_operand, check_vmap},
      {"empty_vmap", has_operand, check_empty_vmap},
      {"R_020_jit", always, check_jit},
  };
  return kChecks;
}

}  // namespace linnet::testing
