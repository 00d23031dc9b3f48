#include "core/ops/trigamma.h"

#include <array>
#include <numbers>

#include "linnet/ops.h"

namespace linnet {
namespace {

/// Recurrence up to x + 10, then the asymptotic series 1/z + 1/(2 z^2) + sum B_2k / z^(2k+1)
/// (Abramowitz and Stegun 6.4.6 and 6.4.12). x > 0.
Tensor trigamma_positive(const Tensor& x) {
  constexpr int kSteps = 10;
  constexpr std::array<double, 8> kBernoulli = {1.0 / 6,  -1.0 / 30,     1.0 / 42, -1.0 / 30,
                                                5.0 / 66, -691.0 / 2730, 7.0 / 6,  -3617.0 / 510};
  Tensor head = reciprocal(square(x));
  for (int k = 1; k < kSteps; ++k) head = head + reciprocal(square(x + k));
  const Tensor r = reciprocal(x + kSteps);
  const Tensor r2 = square(r);
  Tensor series = r2 * kBernoulli.back();
  for (size_t k = kBernoulli.size() - 1; k-- > 0;) series = (series + kBernoulli[k]) * r2;
  return head + r * (1 + 0.5 * r + series);
}

}  // namespace

Tensor trigamma(const Tensor& x) {
  // Reflection (6.4.7); each branch gets an argument that is safe for it.
  const Tensor reflected = less_equal(x, 0);
  const Tensor positive = trigamma_positive(where(reflected, 1 - x, x));
  const Tensor angle = std::numbers::pi * where(reflected, x - round(x), 0.5);
  const Tensor mirrored =
      std::numbers::pi * std::numbers::pi * reciprocal(square(sin(angle))) - positive;
  return where(reflected, mirrored, positive);
}

}  // namespace linnet
