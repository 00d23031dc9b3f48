#include "kernels/cpu/fft/plan.h"

#include <algorithm>
#include <utility>

#include "kernels/cpu/fft/numbers.h"

namespace linnet::cpu {
namespace {

/// Prime factors up to here have passes; above, a pass costs more than a convolution.
constexpr int64_t kMostRadix = 31;

/// Factors of n in the order of the passes, or nothing if there is a large prime among them.
std::vector<int64_t> radices_of(int64_t n) {
  std::vector<int64_t> out;
  for (int64_t radix : {4, 2, 3, 5}) {
    for (; n % radix == 0; n /= radix) out.push_back(radix);
  }
  for (int64_t radix = 7; radix <= kMostRadix; radix += 2) {
    for (; n % radix == 0; n /= radix) out.push_back(radix);
  }
  if (n > 1) out.clear();
  return out;
}

template <class T>
struct PassArgs {
  const std::complex<T>* from;
  std::complex<T>* to;
  int64_t stride;  ///< elements between those of one transform
  int64_t rest;
  const std::complex<T>* twiddles;
  const std::complex<T>* roots;
};

/// One pass: with `s` the stride and `m` the rest, for p < m and q < s
///   to[q + s (r p + j)] = w^(p j) Σ_k from[q + s (p + m k)] e^(-2πi jk / r).
/// `Butterfly::apply` transforms r elements in place.
template <class Butterfly, class T>
void run_pass(const PassArgs<T>& a) {
  using C = std::complex<T>;
  constexpr int64_t kRadix = Butterfly::kRadix;
  for (int64_t p = 0; p < a.rest; ++p) {
    const C* const w = a.twiddles + p * (kRadix - 1);
    const C* const from = a.from + a.stride * p;
    C* const to = a.to + a.stride * kRadix * p;
    for (int64_t q = 0; q < a.stride; ++q) {
      C x[kRadix];
      for (int64_t k = 0; k < kRadix; ++k) x[k] = from[q + a.stride * a.rest * k];
      Butterfly::apply(x);
      to[q] = x[0];
      for (int64_t j = 1; j < kRadix; ++j) to[q + a.stride * j] = times(x[j], w[j - 1]);
    }
  }
}

struct Butterfly2 {
  static constexpr int64_t kRadix = 2;
  template <class C>
  static void apply(C* x) {
    const C sum = x[0] + x[1];
    x[1] = x[0] - x[1];
    x[0] = sum;
  }
};

struct Butterfly3 {
  static constexpr int64_t kRadix = 3;
  template <class C>
  static void apply(C* x) {
    using T = typename C::value_type;
    constexpr T kSine = static_cast<T>(0.86602540378443864676);  // sin(2π / 3)
    const C sum = x[1] + x[2], difference = turned((x[1] - x[2]) * kSine);
    const C middle = x[0] - sum * T(0.5);
    x[0] += sum;
    x[1] = middle + difference;
    x[2] = middle - difference;
  }
};

struct Butterfly4 {
  static constexpr int64_t kRadix = 4;
  template <class C>
  static void apply(C* x) {
    const C even = x[0] + x[2], odd = x[1] + x[3];
    const C even_difference = x[0] - x[2], odd_difference = turned(x[1] - x[3]);
    x[0] = even + odd;
    x[1] = even_difference + odd_difference;
    x[2] = even - odd;
    x[3] = even_difference - odd_difference;
  }
};

struct Butterfly5 {
  static constexpr int64_t kRadix = 5;
  template <class C>
  static void apply(C* x) {
    using T = typename C::value_type;
    constexpr T kCosine1 = static_cast<T>(0.30901699437494742410);   // cos(2π / 5)
    constexpr T kCosine2 = static_cast<T>(-0.80901699437494742410);  // cos(4π / 5)
    constexpr T kSine1 = static_cast<T>(0.95105651629515357212);     // sin(2π / 5)
    constexpr T kSine2 = static_cast<T>(0.58778525229247312917);     // sin(4π / 5)
    const C outer = x[1] + x[4], inner = x[2] + x[3];
    const C outer_difference = x[1] - x[4], inner_difference = x[2] - x[3];
    const C a = x[0] + outer * kCosine1 + inner * kCosine2;
    const C b = x[0] + outer * kCosine2 + inner * kCosine1;
    const C c = turned(outer_difference * kSine1 + inner_difference * kSine2);
    const C d = turned(outer_difference * kSine2 - inner_difference * kSine1);
    x[0] += outer + inner;
    x[1] = a + c;
    x[2] = b + d;
    x[3] = b - d;
    x[4] = a - c;
  }
};

/// Any odd radix, by the definition.
template <class T>
void run_general_pass(int64_t radix, const PassArgs<T>& a) {
  using C = std::complex<T>;
  for (int64_t p = 0; p < a.rest; ++p) {
    const C* const w = a.twiddles + p * (radix - 1);
    const C* const from = a.from + a.stride * p;
    C* const to = a.to + a.stride * radix * p;
    for (int64_t q = 0; q < a.stride; ++q) {
      for (int64_t j = 0; j < radix; ++j) {
        C sum = from[q];
        for (int64_t k = 1; k < radix; ++k)
          sum += times(from[q + a.stride * a.rest * k], a.roots[j * k % radix]);
        to[q + a.stride * j] = j == 0 ? sum : times(sum, w[j - 1]);
      }
    }
  }
}

}  // namespace

template <class T>
FftPlan<T>::FftPlan(int64_t n) : n_(n) {
  const std::vector<int64_t> radices = radices_of(n);
  int64_t left = n;
  for (int64_t radix : radices) {
    Pass pass{radix, left / radix, {}, {}};
    for (int64_t p = 0; p < pass.rest; ++p) {
      for (int64_t j = 1; j < radix; ++j) pass.twiddles.push_back(root_of<T>(p * j, left));
    }
    if (radix > 5) {
      for (int64_t j = 0; j < radix; ++j) pass.roots.push_back(root_of<T>(j, radix));
    }
    left = pass.rest;
    passes_.push_back(std::move(pass));
  }
  if (n == 1 || !radices.empty()) return;

  Chirp chirp;
  int64_t length = 1;
  while (length < 2 * n - 1) length *= 2;
  chirp.convolution = std::make_unique<FftPlan>(length);
  chirp.factors.resize(static_cast<size_t>(n));
  chirp.kernel.resize(static_cast<size_t>(length));
  const T scale = T(1) / static_cast<T>(length);
  // k² modulo 2n, which is all that the factor depends on, from the differences 2k + 1.
  int64_t square = 0;
  for (int64_t k = 0; k < n; ++k) {
    const C factor = root_of<T>(square, 2 * n);
    chirp.factors[static_cast<size_t>(k)] = factor;
    chirp.kernel[static_cast<size_t>(k)] = std::conj(factor) * scale;
    if (k > 0) chirp.kernel[static_cast<size_t>(length - k)] = std::conj(factor) * scale;
    square = (square + 2 * k + 1) % (2 * n);
  }
  std::vector<C> scratch(static_cast<size_t>(chirp.convolution->scratch_size()));
  chirp.convolution->forward(chirp.kernel.data(), scratch.data());
  chirp_ = std::make_unique<const Chirp>(std::move(chirp));
}

template <class T>
int64_t FftPlan<T>::scratch_size() const {
  return chirp_ ? 2 * chirp_->convolution->size() : n_;
}

template <class T>
void FftPlan<T>::forward(C* data, C* scratch) const {
  if (chirp_)
    run_chirp(data, scratch);
  else
    run_passes(data, scratch);
}

template <class T>
void FftPlan<T>::inverse(C* data, C* scratch) const {
  // Exchanging the parts of what goes in and what comes out conjugates the factors.
  for (int64_t i = 0; i < n_; ++i) data[i] = {data[i].imag(), data[i].real()};
  forward(data, scratch);
  for (int64_t i = 0; i < n_; ++i) data[i] = {data[i].imag(), data[i].real()};
}

template <class T>
void FftPlan<T>::run_passes(C* data, C* scratch) const {
  C *from = data, *to = scratch;
  int64_t stride = 1;
  for (const Pass& pass : passes_) {
    const PassArgs<T> args{from, to, stride, pass.rest, pass.twiddles.data(), pass.roots.data()};
    switch (pass.radix) {
      case 2:
        run_pass<Butterfly2>(args);
        break;
      case 3:
        run_pass<Butterfly3>(args);
        break;
      case 4:
        run_pass<Butterfly4>(args);
        break;
      case 5:
        run_pass<Butterfly5>(args);
        break;
      default:
        run_general_pass(pass.radix, args);
    }
    stride *= pass.radix;
    std::swap(from, to);
  }
  if (from != data) std::copy_n(from, n_, data);
}

template <class T>
void FftPlan<T>::run_chirp(C* data, C* scratch) const {
  const FftPlan& convolution = *chirp_->convolution;
  const int64_t length = convolution.size();
  C* const values = scratch;
  for (int64_t i = 0; i < n_; ++i)
    values[i] = times(data[i], chirp_->factors[static_cast<size_t>(i)]);
  std::fill_n(values + n_, length - n_, C(0));
  convolution.forward(values, scratch + length);
  for (int64_t i = 0; i < length; ++i)
    values[i] = times(values[i], chirp_->kernel[static_cast<size_t>(i)]);
  convolution.inverse(values, scratch + length);
  for (int64_t i = 0; i < n_; ++i)
    data[i] = times(values[i], chirp_->factors[static_cast<size_t>(i)]);
}

template class FftPlan<float>;
template class FftPlan<double>;

}  // namespace linnet::cpu
