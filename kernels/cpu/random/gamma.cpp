#include <cmath>
#include <cstddef>
#include <string>

#include "kernels/cpu/random/rejection.h"
#include "kernels/cpu/random/samplers.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

template <int kCount>
std::array<Key, kCount> split(Key key, KeyLayout layout) {
  std::array<Key, kCount> out;
  split_keys(key.data(), 1, kCount, layout, out[0].data());
  return out;
}

template <class T>
T uniform(Key key, KeyLayout layout) {
  T out;
  alignas(64) std::byte workspace[kSamplerWorkspaceOfOne];
  random_uniform(dtype_of<T>(), key.data(), 1, 1, 0, 1, layout, &out, workspace);
  return out;
}

template <class T>
T normal(Key key, KeyLayout layout) {
  T out;
  alignas(64) std::byte workspace[kSamplerWorkspaceOfOne];
  random_normal(dtype_of<T>(), key.data(), 1, 1, layout, &out, workspace);
  return out;
}

double exact_log1p(float x) { return std::log1p(static_cast<double>(x)); }
double exact_log1p(double x) { return std::log1p(x); }

/// The accepted cube V of Marsaglia and Tsang's method for a shape parameter of at least 1, where
/// d = parameter - 1/3. NaN leaves both loops.
template <class T>
T accepted_cube(Key key, T d, KeyLayout layout) {
  const T c = T(1.0 / 3) / std::sqrt(d);
  for (;;) {
    const auto keys = split<3>(key, layout);
    key = keys[0];
    Key inner = keys[1];
    T x, v;
    do {
      const auto pair = split<2>(inner, layout);
      inner = pair[0];
      x = normal<T>(pair[1], layout);
      v = T(1) + x * c;
    } while (v <= 0);
    const T square = x * x, cube = (v * v) * v, u = uniform<T>(keys[2], layout);
    if (!(u >= T(1) - T(0.0331) * (square * square))) return cube;
    if (!(std::log(u) >= square * T(0.5) + d * ((T(1) - cube) + std::log(cube)))) return cube;
  }
}

/// Parameters below 1 are raised by one and the result corrected by the power of a uniform number.
template <class T>
T gamma_number(Key key, T a, bool logarithm, KeyLayout layout) {
  const bool boosted = !(a >= 1);
  const T d = (boosted ? a + T(1) : a) - T(1.0 / 3);
  const auto keys = split<2>(key, layout);
  const T cube = accepted_cube(keys[0], d, layout);
  if (!logarithm) {
    const T boost = boosted ? std::pow(T(1) - uniform<T>(keys[1], layout), T(1) / a) : T(1);
    return (d * cube) * boost;
  }
  const T exponential = boosted ? static_cast<T>(exact_log1p(-uniform<T>(keys[1], layout))) : T(0);
  const T boost = exponential != 0 ? exponential * (T(1) / a) : T(0);
  return (std::log(d) + std::log(cube)) + boost;
}

template <class T>
void fill(const uint32_t* keys, int64_t key_count, int64_t count, const T* a, bool logarithm,
          KeyLayout layout, T* out, Key* element_keys) {
  if (key_count * count == 0) return;
  split_keys(keys, key_count, count, layout, element_keys[0].data());
  parallel_for(key_count * count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      out[i] = gamma_number(element_keys[i], a[i], logarithm, layout);
    }
  });
}

}  // namespace

size_t gamma_workspace(int64_t key_count, int64_t count) {
  return static_cast<size_t>(key_count * count) * sizeof(Key);
}

void random_gamma(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                  const void* a, bool logarithm, KeyLayout layout, void* out, void* workspace) {
  Key* const element_keys = static_cast<Key*>(workspace);
  if (dtype == DType::kF32) {
    fill(keys, key_count, count, static_cast<const float*>(a), logarithm, layout,
         static_cast<float*>(out), element_keys);
  } else if (dtype == DType::kF64) {
    fill(keys, key_count, count, static_cast<const double*>(a), logarithm, layout,
         static_cast<double*>(out), element_keys);
  } else {
    throw DTypeError("random_gamma: expected f32 or f64, got " + std::string(name_of(dtype)));
  }
}

}  // namespace linnet::cpu
