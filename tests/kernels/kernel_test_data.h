// Reproducible numbers for kernel tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/cpu/reduce/element.h"
#include "linnet/parallel.h"

namespace linnet::cpu {

/// A workspace of exactly so many bytes.
class OwnWorkspace {
 public:
  explicit OwnWorkspace(size_t bytes) : bytes_(bytes) {}
  operator void*() { return bytes_.data(); }  // NOLINT(runtime/explicit)

 private:
  std::vector<std::byte> bytes_;
};

/// `count` values of T: floats in [-2, 2), integers in [-20, 20] (or [0, 40]), random bools.
template <class T>
std::vector<T> random_values(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<T> values;
  for (int64_t i = 0; i < count; ++i) {
    const double unit = generator() / 4294967296.0;
    if constexpr (kIsFloating<T>)
      values.push_back(narrow<T>(4 * unit - 2));
    else if constexpr (std::is_same_v<T, bool>)
      values.push_back(unit < 0.5);
    else if constexpr (std::is_signed_v<T>)
      values.push_back(static_cast<T>(41 * unit - 20));
    else
      values.push_back(static_cast<T>(41 * unit));
  }
  return values;
}

inline std::vector<float> random_floats(int64_t count, uint32_t seed) {
  return random_values<float>(count, seed);
}

/// The same numbers in another floating type.
template <class To, class From>
std::vector<To> converted(const std::vector<From>& values) {
  std::vector<To> out;
  for (From value : values) out.push_back(narrow<To>(static_cast<double>(widen(value))));
  return out;
}

/// Largest |a - b| / (scale + |b|).
template <class A, class B>
double largest_error(const std::vector<A>& a, const std::vector<B>& b, double scale = 1) {
  double worst = a.size() == b.size() ? 0 : 1e30;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double x = static_cast<double>(widen(a[i])), y = static_cast<double>(widen(b[i]));
    const double error = std::abs(x - y) / (scale + std::abs(y));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/// Runs `f` once with one thread and once with several and returns whether it reports equal
/// results: `f()` returns the bytes to compare.
template <class F>
bool same_for_all_thread_counts(F&& f) {
  const int before = num_threads();
  set_num_threads(1);
  const auto alone = f();
  bool same = true;
  for (int threads : {2, 3, 5}) {
    set_num_threads(threads);
    same = same && f() == alone;
  }
  set_num_threads(before);
  return same;
}

}  // namespace linnet::cpu
