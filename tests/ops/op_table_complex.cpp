// Rows of complex numbers and of Fourier transforms: functions of real and imaginary parts, so that
// every check of functions of real numbers holds them too, in c64 and c128.
#include <cmath>
#include <complex>
#include <numbers>

#include "linnet/complex.h"
#include "linnet/fft.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

using C = std::complex<double>;
using Cs = std::vector<C>;

const Values kPart = uniform(-1.5, 1.5), kAbove = uniform(0.3, 1.6);

TensorList parts_of(const Tensor& y) {
  return is_complex(y.dtype()) ? TensorList{real(y), imag(y)} : TensorList{y};
}

/// `f` of complex operands, as a function of their parts: x[0] + i x[1], x[2] + i x[3], ...
TensorsFunction by_parts(std::function<Tensor(const TensorList&)> f) {
  return [f = std::move(f)](const TensorList& x) {
    TensorList z;
    for (size_t i = 0; i < x.size(); i += 2) z.push_back(complex(x[i], x[i + 1]));
    return parts_of(f(z));
  };
}

Cs joined(const HostArrays& x, size_t operand) {
  Cs out;
  for (size_t i = 0; i < x[2 * operand].values.size(); ++i)
    out.emplace_back(x[2 * operand].values[i], x[2 * operand + 1].values[i]);
  return out;
}

HostArrays apart(const Shape& shape, const Cs& z) {
  HostArrays out{HostArray(shape), HostArray(shape)};
  for (size_t i = 0; i < z.size(); ++i) {
    out[0].values[i] = z[i].real();
    out[1].values[i] = z[i].imag();
  }
  return out;
}

/// The checks of bits and of special values are of real functions; NaN may reach both parts.
CaseBuilder complex_row(OpTable& table, const std::string& name, const char* primitive,
                        TensorsFunction f) {
  return table.add_function(name, std::move(f))
      .of(primitive)
      .takes(Takes::kUnchecked)
      .gives(Gives::kUnchecked)
      .wide_only()
      .no_nan()
      .jit_within(1e-14)
      .reordered_within(1e-14);
}

const std::vector<Shape> kShapes{Shape{}, Shape{7}, Shape{3, 4}, Shape{0}, Shape{2, 0}, Shape{31}};

/// Elementwise, of one complex operand.
void add_unary(OpTable& table, const char* primitive, Tensor (*f)(const Tensor&), C (*expected)(C),
               const Values& re) {
  complex_row(table, std::string("complex_") + primitive, primitive,
              by_parts([f](const TensorList& z) { return f(z[0]); }))
      .inputs(kShapes, {re, kPart})
      .reference_function([expected](const HostArrays& x) {
        Cs z = joined(x, 0);
        for (C& element : z) element = expected(element);
        return apart(x[0].shape, z);
      });
}

void add_binary(OpTable& table, const char* primitive, Tensor (*f)(const Tensor&, const Tensor&),
                C (*expected)(C, C)) {
  complex_row(table, std::string("complex_") + primitive, primitive,
              by_parts([f](const TensorList& z) { return f(z[0], z[1]); }))
      .inputs(kShapes, {kAbove, kPart, kAbove, kPart})
      .reference_function([expected](const HostArrays& x) {
        Cs a = joined(x, 0);
        const Cs b = joined(x, 1);
        for (size_t i = 0; i < a.size(); ++i) a[i] = expected(a[i], b[i]);
        return apart(x[0].shape, a);
      });
}

void add_functions(OpTable& table) {
  add_unary(
      table, "conj", conj, [](C z) { return std::conj(z); }, kPart);
  add_unary(
      table, "exp", exp, [](C z) { return std::exp(z); }, kPart);
  add_unary(
      table, "log", log, [](C z) { return std::log(z); }, kAbove);
  add_unary(
      table, "tanh", tanh, [](C z) { return std::tanh(z); }, kAbove);
  add_unary(
      table, "logistic", sigmoid, [](C z) { return 1.0 / (1.0 + std::exp(-z)); }, kAbove);
  add_unary(
      table, "integer_pow", [](const Tensor& z) { return pow(z, 3); },
      [](C z) { return z * z * z; }, kPart);
  add_binary(table, "mul", mul, [](C a, C b) { return a * b; });
  add_binary(table, "div", div, [](C a, C b) { return a / b; });
  add_binary(table, "pow", pow, [](C a, C b) { return std::pow(a, b); });
}

/// What leads from real numbers to complex ones and back.
void add_parts(OpTable& table) {
  complex_row(table, "complex", "complex",
              [](const TensorList& x) { return parts_of(complex(x[0], x[1])); })
      .inputs(kShapes, {kPart, kPart})
      .linear()
      .reference_function([](const HostArrays& x) { return x; });
  // The other part has to be read too, or its derivative would not be one of the primitive.
  for (const bool imaginary : {false, true}) {
    complex_row(table, imaginary ? "imag" : "real", imaginary ? "imag" : "real",
                by_parts([=](const TensorList& z) {
                  return imaginary ? imag(z[0] * z[0]) : real(z[0] * z[0]);
                }))
        .inputs(kShapes, {kPart, kPart})
        .reference_function([=](const HostArrays& x) {
          const Cs z = joined(x, 0);
          HostArray y(x[0].shape);
          for (size_t i = 0; i < z.size(); ++i)
            y.values[i] = imaginary ? (z[i] * z[i]).imag() : (z[i] * z[i]).real();
          return HostArrays{y};
        });
  }
  complex_row(table, "complex_abs", "complex_abs",
              by_parts([](const TensorList& z) { return abs(z[0]); }))
      .inputs(kShapes, {kAbove, kPart})
      .reference_function([](const HostArrays& x) {
        const Cs z = joined(x, 0);
        HostArray y(x[0].shape);
        for (size_t i = 0; i < z.size(); ++i) y.values[i] = std::abs(z[i]);
        return HostArrays{y};
      });
}

void add_reductions(OpTable& table) {
  const Sample matrix{{{3, 5}, kAbove}, {{3, 5}, kPart}}, none{{{0, 2}, kPart}, {{0, 2}, kPart}};
  complex_row(table, "complex_prod", "reduce_prod",
              by_parts([](const TensorList& z) { return prod(z[0], 0); }))
      .sample(matrix)
      .sample(none)
      .reordered_within(1e-13)
      .reference_function([](const HostArrays& x) {
        const int64_t columns = x[0].shape[1];
        Cs y(static_cast<size_t>(columns), C(1));
        const Cs z = joined(x, 0);
        for (size_t i = 0; i < z.size(); ++i) y[i % y.size()] *= z[i];
        return apart({columns}, y);
      });
  complex_row(table, "complex_cumprod", "cumprod",
              by_parts([](const TensorList& z) { return cumprod(z[0], 1); }))
      .sample(matrix)
      .sample(none)
      .reference_function([](const HostArrays& x) {
        const auto columns = static_cast<size_t>(x[0].shape[1]);
        Cs z = joined(x, 0);
        for (size_t i = 0; i < z.size(); ++i) z[i] *= i % columns == 0 ? C(1) : z[i - 1];
        return apart(x[0].shape, z);
      });
  complex_row(table, "complex_dot", "dot_general",
              by_parts([](const TensorList& z) { return matmul(z[0], z[1]); }))
      .sample({{{3, 4}, kPart}, {{3, 4}, kPart}, {{4, 2}, kPart}, {{4, 2}, kPart}})
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference_function([](const HostArrays& x) {
        const Cs a = joined(x, 0), b = joined(x, 1);
        Cs y(6);
        for (size_t i = 0; i < 24; ++i) y[i / 8 * 2 + i % 2] += a[i / 2] * b[i % 8];
        return apart({3, 2}, y);
      });
}

/// e^(sign 2πi jk / n), summed as written in long double.
Cs transformed(const Cs& x, int sign) {
  const size_t n = x.size();
  Cs out;
  for (size_t k = 0; k < n; ++k) {
    std::complex<long double> sum = 0;
    for (size_t j = 0; j < n; ++j) {
      const long double turns = static_cast<long double>(j * k % n) / static_cast<long double>(n);
      sum += std::complex<long double>(x[j]) *
             std::polar(1.0L, static_cast<long double>(sign) * 2 * std::numbers::pi_v<long double> *
                                  turns);
    }
    out.emplace_back(sum);
  }
  return out;
}

/// Lines along the last axis replaced by what `f` makes of them; they may change their length.
Cs lines(const Cs& z, int64_t length, const std::function<Cs(const Cs&)>& f) {
  Cs out;
  for (size_t at = 0; at + static_cast<size_t>(length) <= z.size();
       at += static_cast<size_t>(length)) {
    const auto begin = z.begin() + static_cast<int64_t>(at);
    const Cs line = f(Cs(begin, begin + length));
    out.insert(out.end(), line.begin(), line.end());
  }
  return out;
}

/// Rows are transformed, then columns.
Cs transformed_matrix(const Cs& z, int64_t rows, int64_t columns) {
  Cs out = lines(z, columns, [](const Cs& line) { return transformed(line, -1); });
  for (size_t c = 0; c < static_cast<size_t>(columns); ++c) {
    Cs column;
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r)
      column.push_back(out[r * static_cast<size_t>(columns) + c]);
    column = transformed(column, -1);
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r)
      out[r * static_cast<size_t>(columns) + c] = column[r];
  }
  return out;
}

/// The whole transform of which this is the half, for a real result of `n` elements.
Cs whole_of(const Cs& half, size_t n) {
  Cs out(n);
  for (size_t k = 0; k < n; ++k) out[k] = k < half.size() ? half[k] : std::conj(half[n - k]);
  out[0] = out[0].real();
  if (n % 2 == 0) out[n / 2] = out[n / 2].real();
  return out;
}

void add_whole_transforms(OpTable& table) {
  for (const bool inverse : {false, true}) {
    complex_row(table, inverse ? "ifft" : "fft", "fft", by_parts([=](const TensorList& z) {
                  return inverse ? fft::ifft(z[0]) : fft::fft(z[0]);
                }))
        // One element, a power of two, several factors, primes, and no lines at all.
        .inputs({{2, 3}, {1}, {8}, {30}, {2, 13}, {0, 4}, {67}}, {kPart, kPart})
        .linear()
        .reference_function([=](const HostArrays& x) {
          const int64_t n = x[0].shape.back();
          Cs y = lines(joined(x, 0), n,
                       [&](const Cs& line) { return transformed(line, inverse ? 1 : -1); });
          if (inverse)
            for (C& element : y) element /= static_cast<double>(n);
          return apart(x[0].shape, y);
        });
  }
  complex_row(table, "fft2", "fft", by_parts([](const TensorList& z) { return fft::fft2(z[0]); }))
      .inputs({{2, 3, 4}, {5, 2}}, {kPart, kPart})
      .linear()
      .reference_function([](const HostArrays& x) {
        const int64_t columns = x[0].shape.back(), rows = x[0].shape[x[0].shape.size() - 2];
        return apart(x[0].shape, lines(joined(x, 0), rows * columns, [&](const Cs& matrix) {
                       return transformed_matrix(matrix, rows, columns);
                     }));
      });
}

void add_real_transforms(OpTable& table) {
  complex_row(table, "rfft", "fft", [](const TensorList& x) { return parts_of(fft::rfft(x[0])); })
      .sample({{{2, 3}, kPart}})
      .sample({{{8}, kPart}})
      .sample({{{13}, kPart}})
      .sample({{{1}, kPart}})
      .sample({{{0, 6}, kPart}})
      .linear()
      .reference_function([](const HostArrays& x) {
        Shape shape = x[0].shape;
        const int64_t n = shape.back(), half = n / 2 + 1;
        shape.back() = half;
        return apart(shape,
                     lines(Cs(x[0].values.begin(), x[0].values.end()), n, [&](const Cs& line) {
                       const Cs y = transformed(line, -1);
                       return Cs(y.begin(), y.begin() + half);
                     }));
      });
  for (const int64_t n : {6, 7}) {
    complex_row(table, n == 6 ? "irfft" : "irfft_odd", "fft",
                by_parts([=](const TensorList& z) { return fft::irfft(z[0], n); }))
        .inputs({{2, 4}, {4}, {0, 4}}, {kPart, kPart})
        .linear()
        .reference_function([=](const HostArrays& x) {
          Shape shape = x[0].shape;
          shape.back() = n;
          const Cs y = lines(joined(x, 0), 4, [&](const Cs& half) {
            return transformed(whole_of(half, static_cast<size_t>(n)), 1);
          });
          HostArray out(shape);
          for (size_t i = 0; i < y.size(); ++i)
            out.values[i] = y[i].real() / static_cast<double>(n);
          return HostArrays{out};
        });
  }
}

}  // namespace

void add_complex_cases(OpTable& table) {
  add_parts(table);
  add_functions(table);
  add_reductions(table);
  add_whole_transforms(table);
  add_real_transforms(table);
}

}  // namespace linnet::testing
