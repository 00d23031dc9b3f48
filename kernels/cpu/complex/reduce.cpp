#include "kernels/cpu/complex/reduce.h"

#include "kernels/cpu/complex/functions.h"
#include "linnet/parallel.h"
#include "linnet/shape.h"

namespace linnet::cpu {
namespace {

/// Some of the dimensions, with the strides of the operand.
struct Loops {
  Shape shape;
  Strides strides;

  /// Where the element with this number in row-major order lies.
  int64_t offset(int64_t number) const {
    int64_t out = 0;
    for (size_t i = shape.size(); i-- > 0;) {
      out += number % shape[i] * strides[i];
      number /= shape[i];
    }
    return out;
  }
};

template <class T>
void multiply_all(const Complex<T>* data, const Loops& kept, const Loops& reduced,
                  Complex<T>* out) {
  const int64_t results = element_count(kept.shape), factors = element_count(reduced.shape);
  const int64_t grain = std::max<int64_t>(1, 8192 / std::max<int64_t>(1, factors));
  parallel_for(results, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const Complex<T>* from = data + kept.offset(r);
      Complex<double> product(1);
      for (int64_t i = 0; i < factors; ++i)
        product = multiply(product, Complex<double>(from[reduced.offset(i)]));
      out[r] = Complex<T>(product);
    }
  });
}

template <class T>
void multiply_along(const Complex<T>* data, const Loops& lines, const Loops& results, int64_t size,
                    int64_t in_stride, int64_t out_stride, Complex<T>* out) {
  const int64_t grain = std::max<int64_t>(1, 8192 / std::max<int64_t>(1, size));
  parallel_for(element_count(lines.shape), grain, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const Complex<T>* const from = data + lines.offset(line);
      Complex<T>* const to = out + results.offset(line);
      Complex<double> product(1);
      for (int64_t i = 0; i < size; ++i) {
        product = multiply(product, Complex<double>(from[i * in_stride]));
        to[i * out_stride] = Complex<T>(product);
      }
    }
  });
}

}  // namespace

void complex_product(DType dtype, const void* data, std::span<const int64_t> shape,
                     std::span<const int64_t> strides, uint64_t axes_mask, void* out) {
  Loops kept, reduced;
  for (size_t i = 0; i < shape.size(); ++i) {
    Loops& loops = axes_mask >> i & 1 ? reduced : kept;
    loops.shape.push_back(shape[i]);
    loops.strides.push_back(strides[i]);
  }
  if (dtype == DType::kC64)
    multiply_all(static_cast<const Complex<float>*>(data), kept, reduced,
                 static_cast<Complex<float>*>(out));
  else
    multiply_all(static_cast<const Complex<double>*>(data), kept, reduced,
                 static_cast<Complex<double>*>(out));
}

void complex_cumulative_product(DType dtype, const void* data, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, int64_t axis, bool reverse,
                                void* out) {
  const size_t along = static_cast<size_t>(axis);
  const Strides dense = dense_strides(shape);
  Loops lines, results;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i == along) continue;
    lines.shape.push_back(shape[i]);
    lines.strides.push_back(strides[i]);
    results.strides.push_back(dense[i]);
  }
  results.shape = lines.shape;
  // From the last element backwards.
  const int64_t size = shape[along], sign = reverse ? -1 : 1;
  const int64_t in_stride = sign * strides[along], out_stride = sign * dense[along];
  const int64_t from = reverse ? (size - 1) * strides[along] : 0;
  const int64_t to = reverse ? (size - 1) * dense[along] : 0;
  const auto run = [&]<class T>(const Complex<T>* in, Complex<T>* y) {
    multiply_along(in + from, lines, results, size, in_stride, out_stride, y + to);
  };
  if (element_count(shape) == 0) return;
  if (dtype == DType::kC64)
    run(static_cast<const Complex<float>*>(data), static_cast<Complex<float>*>(out));
  else
    run(static_cast<const Complex<double>*>(data), static_cast<Complex<double>*>(out));
}

}  // namespace linnet::cpu
