// Uniform and normal numbers (specification: docs/rng.md, sections 3 to 5.1), in the steps in which
// the processor rounds them.
#pragma once

#include "kernels/cuda/device/scalar.h"
#include "kernels/cuda/random/draws.cuh"

namespace linnet::cuda {

/// A uniform number on [low, low + span).
template <class T>
struct UniformDraw;

template <>
struct UniformDraw<float> {
  float low, span;
  LINNET_DEVICE float operator()(WordPair key, uint64_t position) const {
    const uint32_t word = random_word(key, position) >> 9 | 0x3F800000u;
    const float unit = __builtin_bit_cast(float, word) - 1.0f;
    const float value = scalar::fma(unit, span, low);
    return low > value ? low : value;
  }
};
template <>
struct UniformDraw<double> {
  double low, span;
  LINNET_DEVICE double operator()(WordPair key, uint64_t position) const {
    const double unit = static_cast<double>(random_wide_word(key, position) >> 12) * 0x1p-52;
    const double value = scalar::fma(unit, span, low);
    return low < value ? value : low;
  }
};
/// 16 bits round the product by itself, which is exact in float.
template <class T, int kDrawn, int kMantissa>
struct HalfUniformDraw {
  float low, span;
  LINNET_DEVICE T operator()(WordPair key, uint64_t position) const {
    const uint32_t drawn = random_word(key, position) & ((1u << kDrawn) - 1);
    const float unit =
        static_cast<float>(drawn >> (kDrawn - kMantissa)) * (1.0f / (1 << kMantissa));
    const T scaled = from_float<T>(unit * span);
    const T value = from_float<T>(to_float(scaled) + low);
    return to_float(value) > low ? value : from_float<T>(low);
  }
};
template <>
struct UniformDraw<Half> : HalfUniformDraw<Half, 16, 10> {};
template <>
struct UniformDraw<Bf16> : HalfUniformDraw<Bf16, 8, 7> {};

/// sqrt(2) erf_inv(uniform), from `least` to `most`.
template <class T>
struct NormalDraw {
  using W = Wide<T>;
  UniformDraw<T> uniform;
  W least, most;

  LINNET_DEVICE W clamped(W value) const {
    const W above = value < least ? least : value;
    return most < above ? most : above;
  }
  LINNET_DEVICE T operator()(WordPair key, uint64_t position) const {
    const W inverse = scalar::erf_inv(to_wide(uniform(key, position)));
    if constexpr (kIsHalf<T>) {
      const W root2 = to_float(from_float<T>(1.41421356f));
      const T value = from_float<T>(root2 * to_float(from_float<T>(inverse)));
      return from_float<T>(clamped(to_float(value)));
    } else {
      return clamped(static_cast<W>(1.4142135623730951) * inverse);
    }
  }
};

template <class T>
LINNET_DEVICE UniformDraw<T> uniform_draw(const SamplerArgs& args) {
  UniformDraw<T> draw;
  draw.low = static_cast<Wide<T>>(args.low);
  draw.span = static_cast<Wide<T>>(args.span);
  return draw;
}

template <class T>
LINNET_DEVICE void draw_uniform(const SamplerArgs& args) {
  draw_numbers(args.keys.get(), args.keys_count, args.count, static_cast<T*>(args.out.get()),
               uniform_draw<T>(args));
}
template <class T>
LINNET_DEVICE void draw_normal(const SamplerArgs& args) {
  const NormalDraw<T> draw{uniform_draw<T>(args), static_cast<Wide<T>>(args.least),
                           static_cast<Wide<T>>(args.most)};
  draw_numbers(args.keys.get(), args.keys_count, args.count, static_cast<T*>(args.out.get()), draw);
}

}  // namespace linnet::cuda
