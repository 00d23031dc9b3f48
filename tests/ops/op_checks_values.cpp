// Checks of results: against references, over dtypes, special values and memory layouts.
#include <fmt/core.h>

#include <cmath>
#include <limits>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "linnet/error.h"
#include "op_checks.h"

namespace linnet::testing {
namespace {

/// Bits that say whether subnormal numbers are flushed to zero.
unsigned flush_mode() {
#if defined(__SSE__)
  return _mm_getcsr() & 0x8040u;
#else
  return 0;
#endif
}

double rounded_to(DType dtype, double value) {
  switch (dtype) {
    case DType::kF16:
      return static_cast<float>(float16(static_cast<float>(value)));
    case DType::kBF16:
      return static_cast<float>(bfloat16(static_cast<float>(value)));
    case DType::kF32:
      return static_cast<float>(value);
    default:
      return value;
  }
}

/// Distance to the next number of `dtype` at `value`.
double ulp(DType dtype, double value) {
  const FloatInfo info = finfo(dtype);
  const double magnitude = std::max(std::abs(value), info.tiny);
  return std::ldexp(info.eps, std::ilogb(magnitude));
}

double allowed_ulps(const OpCase& row, DType dtype) {
  if (dtype == DType::kF64) return row.ulps_f64;
  return dtype == DType::kF32 ? row.ulps_f32 : 1;
}

/// What may be wrong with one element: classes must agree, numbers be near.
bool acceptable(double got, double expected, double tolerance, bool signed_zeros) {
  if (std::isnan(expected) || std::isnan(got)) return std::isnan(got) && std::isnan(expected);
  if (std::isinf(expected) || std::isinf(got)) return got == expected;
  if (expected == 0 && got == 0)
    return !signed_zeros || std::signbit(got) == std::signbit(expected);
  return std::abs(got - expected) <= tolerance;
}

void compare_elementwise(const OpCase& row, const TensorList& x, const Tensor& y,
                         const HostArray& expected, Findings& findings) {
  const std::vector<double> got = y.to_vector<double>();
  const std::vector<double> first = x.empty() ? std::vector<double>() : x[0].to_vector<double>();
  if (y.shape() != expected.shape) {
    return findings.add("shape " + to_string(y.shape()) + ", expected " +
                        to_string(expected.shape));
  }
  for (size_t i = 0; i < got.size(); ++i) {
    double wanted = expected.values[i], tolerance = 0;
    if (is_floating(y.dtype())) {
      // Where rounding overflows, a result within the tolerance of the largest number is as good.
      wanted = rounded_to(y.dtype(), wanted);
      tolerance = allowed_ulps(row, y.dtype()) * ulp(y.dtype(), wanted);
      if (row.slack > 0) {
        tolerance += row.slack * finfo(y.dtype()).eps * std::max(1.0, std::abs(first[i]));
      }
    }
    const bool signed_zeros = row.signed_zeros && is_floating(y.dtype());
    if (acceptable(got[i], wanted, tolerance, signed_zeros)) continue;
    findings.add(fmt::format("element {} of {}: {:.17g}, expected {:.17g} (x = {:.17g})", i,
                             type_string(y.dtype(), y.shape()), got[i], wanted,
                             first.empty() ? 0.0 : first[i]));
  }
}

void compare_scaled(const OpCase& row, const Tensor& y, const HostArray& expected, bool poisoned,
                    Findings& findings) {
  if (y.shape() != expected.shape) {
    return findings.add("shape " + to_string(y.shape()) + ", expected " +
                        to_string(expected.shape));
  }
  double largest = 1;
  for (double v : expected.values) {
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  }
  const double eps = is_floating(y.dtype()) ? finfo(y.dtype()).eps : 0;
  const std::vector<double> got = y.to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) {
    const double wanted =
        is_floating(y.dtype()) ? rounded_to(y.dtype(), expected.values[i]) : expected.values[i];
    if (acceptable(got[i], wanted, row.scale * eps * largest,
                   row.scale == 0 && is_floating(y.dtype())))
      continue;
    if (poisoned && row.padding_may_count && std::isnan(got[i])) continue;
    findings.add(fmt::format("element {} of {}: {:.17g}, expected {:.17g}", i,
                             type_string(y.dtype(), y.shape()), got[i], wanted));
  }
}

/// @param poisoned whether an operand holds a NaN.
void compare(const OpCase& row, const TensorList& x, Findings& findings, bool poisoned = false) {
  findings.set_context("values of " + row.name + describe(x));
  const unsigned mode = flush_mode();
  const TensorList y = row.function(x);
  if (flush_mode() != mode) findings.add("the treatment of subnormal numbers was changed");
  const HostArrays expected = row.reference(to_host(x));
  if (expected.size() != y.size()) {
    return findings.add(fmt::format("{} results, expected {}", y.size(), expected.size()));
  }
  for (size_t k = 0; k < y.size(); ++k) {
    if (row.elementwise) {
      compare_elementwise(row, x, y[k], expected[k], findings);
    } else {
      compare_scaled(row, y[k], expected[k], poisoned, findings);
    }
  }
}

std::vector<DType> value_dtypes(const OpCase& row) {
  std::vector<DType> out;
  for (int i = 0; i < kRealDTypeCount; ++i) {
    const DType dtype = static_cast<DType>(i);
    const bool wanted = is_floating(dtype) ? (row.low_precision || size_of(dtype) >= 4)
                                           : row.exact_integers && is_integer(dtype);
    if ((wanted && taken(row.takes, dtype)) || dtype == row.base_dtype()) out.push_back(dtype);
  }
  return out;
}

}  // namespace

void check_values(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    for (DType dtype : value_dtypes(row)) {
      compare(row, make_operands(sample, dtype, 1), findings);
    }
  }
}

namespace {

std::vector<double> special_numbers(DType dtype) {
  const FloatInfo info = finfo(dtype);
  std::vector<double> out{std::nan(""),
                          0,
                          1,
                          3,
                          0.5,
                          info.tiny,
                          info.tiny * info.eps,
                          info.max,
                          std::numeric_limits<double>::infinity()};
  for (size_t i = 1, count = out.size(); i < count; ++i) out.push_back(-out[i]);
  return out;
}

}  // namespace

void check_special_values(const OpCase& row, Findings& findings) {
  for (DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
    if (!taken(row.takes, dtype)) continue;
    const std::vector<double> numbers = special_numbers(dtype);
    std::vector<std::vector<double>> operands(static_cast<size_t>(row.arity));
    if (row.arity == 1) {
      operands[0] = numbers;
    } else {
      for (double a : numbers) {
        for (double b : numbers) {
          operands[0].push_back(a);
          operands[1].push_back(b);
        }
      }
    }
    TensorList x;
    for (const std::vector<double>& values : operands) {
      x.push_back(from_vector(values, {static_cast<int64_t>(values.size())}).astype(dtype));
    }
    compare(row, x, findings);
  }
}

void check_nan(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    for (DType dtype : {DType::kF64, DType::kF32}) {
      if (!taken(row.takes, dtype)) continue;
      const TensorList x = make_operands(sample, dtype, 9);
      for (size_t i = 0; i < x.size(); ++i) {
        if (sample[i].values.dtype || x[i].size() == 0) continue;
        std::vector<double> values = x[i].to_vector<double>();
        values[values.size() / 2] = std::nan("");
        TensorList poisoned = x;
        poisoned[i] = from_vector(values, x[i].shape()).astype(dtype);
        compare(row, poisoned, findings, true);
      }
    }
  }
}

void check_dtypes(const OpCase& row, Findings& findings) {
  for (int i = 0; i < kRealDTypeCount; ++i) {
    const DType dtype = static_cast<DType>(i);
    const TensorList x = make_operands(row.samples[0], dtype, 2);
    findings.set_context("dtypes of " + row.name + describe(x));
    const bool expected = taken(row.takes, dtype);
    if (!expected && row.takes == Takes::kUnchecked) continue;
    try {
      const TensorList y = row.function(x);
      if (!expected) {
        findings.add("was taken, although it should not be");
      } else if (row.gives != Gives::kUnchecked && y[0].dtype() != given_dtype(row.gives, dtype)) {
        findings.add(fmt::format("gives {}, expected {}", name_of(y[0].dtype()),
                                 name_of(given_dtype(row.gives, dtype))));
      }
    } catch (const DTypeError& error) {
      if (expected) findings.add(error.what());
    } catch (const Error& error) {
      findings.add(std::string("not a DTypeError: ") + error.what());
    }
  }
}

namespace {

enum class Layout : uint8_t { kTransposed, kStepped, kReversed, kMisaligned, kBroadcast };

/// The elements of `x` in another layout; for kBroadcast the first one everywhere.
Tensor laid_out(const Tensor& x, Layout layout) {
  const size_t rank = x.rank();
  Axes axes;
  for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  switch (layout) {
    case Layout::kTransposed:
      return transpose(transpose(x).contiguous());
    case Layout::kStepped: {
      if (rank == 0 || x.size() == 0) return x;
      const Tensor spread = pad(x, std::vector<PadDim>(rank, PadDim{1, 0, 1}));
      std::vector<int64_t> stop;
      for (int64_t size : x.shape()) stop.push_back(2 * size);
      return slice(spread, std::vector<int64_t>(rank, 1), stop, std::vector<int64_t>(rank, 2));
    }
    case Layout::kReversed:
      return rank == 0 ? x : flip(flip(x, axes).contiguous(), axes);
    case Layout::kMisaligned: {
      const Tensor line = concatenate({zeros({1}, x.dtype()), ravel(x)});
      return reshape(slice_axis(line, 1, line.size(), 0), x.shape());
    }
    case Layout::kBroadcast:
      break;
  }
  if (x.size() == 0) return x;
  return broadcast_in_dim(reshape(slice_axis(ravel(x), 0, 1, 0), {}), x.shape(), {});
}

void compare_layouts(const OpCase& row, const TensorList& x, double tolerance, Findings& findings) {
  for (Layout layout : {Layout::kTransposed, Layout::kStepped, Layout::kReversed,
                        Layout::kMisaligned, Layout::kBroadcast}) {
    TensorList views, copies;
    for (const Tensor& t : x) {
      views.push_back(laid_out(t, layout));
      copies.push_back(layout == Layout::kBroadcast ? views.back().contiguous() : t);
    }
    findings.set_context(
        fmt::format("layout {} of {}{}", static_cast<int>(layout), row.name, describe(x)));
    const std::string text = difference(row.function(views), row.function(copies), tolerance);
    if (!text.empty()) findings.add(text);
  }
}

/// The first two operands of equal type as one tensor.
void compare_aliased(const OpCase& row, const TensorList& x, double tolerance, Findings& findings) {
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = i + 1; j < x.size(); ++j) {
      if (x[i].type() != x[j].type() || x[i].size() == 0) continue;
      TensorList same = x, copies = x;
      same[j] = x[i];
      copies[j] = laid_out(x[i], Layout::kMisaligned).contiguous();
      findings.set_context("one tensor as two operands of " + row.name + describe(x));
      const std::string text = difference(row.function(same), row.function(copies), tolerance);
      if (!text.empty()) findings.add(text);
      return;
    }
  }
}

}  // namespace

void check_strides(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    for (DType dtype : {row.base_dtype(), DType::kF32}) {
      if (!taken(row.takes, dtype)) continue;
      const TensorList x = make_operands(sample, dtype, 3);
      const double tolerance = tolerance_in(dtype, row.reordered_tolerance);
      compare_layouts(row, x, tolerance, findings);
      compare_aliased(row, x, tolerance, findings);
    }
  }
}

}  // namespace linnet::testing
