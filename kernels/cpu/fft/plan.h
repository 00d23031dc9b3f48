// The discrete Fourier transform of a number of elements side by side.
//
//   FftPlan<float> plan(1000);
//   std::vector<Complex<float>> scratch(plan.scratch_size());
//   plan.forward(values, scratch.data());
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <vector>

namespace linnet::cpu {

/// y[k] = Σ_j x[j] e^(-2πi jk / n). Factors of unity are rounded once from the exact ones, so that
/// errors grow with the logarithm of n only. May be used from several threads at once.
template <class T>
class FftPlan {
 public:
  using C = std::complex<T>;

  /// For n >= 1 elements.
  explicit FftPlan(int64_t n);

  int64_t size() const { return n_; }
  /// Elements of the scratch memory of a transform.
  int64_t scratch_size() const;
  void forward(C* data, C* scratch) const;
  /// With e^(+2πi jk / n), undivided.
  void inverse(C* data, C* scratch) const;

 private:
  /// Splits off the factor `radix` of what is left, `radix * rest` elements.
  struct Pass {
    int64_t radix, rest;
    std::vector<C> twiddles;  ///< [rest, radix - 1]: e^(-2πi p j / (radix * rest)), j from 1
    std::vector<C> roots;  ///< [radix]: e^(-2πi j / radix), for radices without code of their own
  };
  /// A transform as a convolution with e^(πi k² / n).
  struct Chirp {
    std::unique_ptr<FftPlan> convolution;
    std::vector<C> factors;  ///< [n]: e^(-πi k² / n)
    std::vector<C> kernel;   ///< transform of the conjugates, divided by its length
  };

  void run_passes(C* data, C* scratch) const;
  void run_chirp(C* data, C* scratch) const;

  int64_t n_;
  std::vector<Pass> passes_;
  std::unique_ptr<const Chirp> chirp_;
};

extern template class FftPlan<float>;
extern template class FftPlan<double>;

}  // namespace linnet::cpu
