#include "kernels/cpu/random/samplers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/norm/real_rows.h"
#include "kernels/cpu/random/normal_vector.h"
#include "kernels/cpu/random/sampler_range.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/workspace.h"
#include "kernels/scalar/host.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kTile = 1024;
constexpr int64_t kGrain = 8192;

// How random bits become a fraction in [0, 1): `kDrawn` bits are drawn, the top `kMantissa` are
// used.
template <class T>
struct Unit;
template <>
struct Unit<float> {
  using Bits = uint32_t;
  [[maybe_unused]] static constexpr int kDrawn = 32, kMantissa = 23;
};
template <>
struct Unit<double> {
  using Bits = uint64_t;
  [[maybe_unused]] static constexpr int kDrawn = 64, kMantissa = 52;
};
template <>
struct Unit<float16> {
  using Bits = uint16_t;
  [[maybe_unused]] static constexpr int kDrawn = 16, kMantissa = 10;
};
template <>
struct Unit<bfloat16> {
  using Bits = uint8_t;
  [[maybe_unused]] static constexpr int kDrawn = 8, kMantissa = 7;
};

// Of numbers of T.
template <class T>
struct Range {
  T low, span, least, most;
  explicit Range(const SamplerRange& range)
      : low(narrow<T>(range.low)),
        span(narrow<T>(range.span)),
        least(narrow<T>(range.least)),
        most(narrow<T>(range.most)) {}
};

template <class T>
T uniform_of(typename Unit<T>::Bits bits, const Range<T>& range) {
  if constexpr (std::is_same_v<T, double>) {
    const double unit = static_cast<double>(bits >> 12) * 0x1p-52;
    return std::max(range.low, std::fma(unit, range.span, range.low));
  } else {
    const double unit = std::ldexp(
        static_cast<double>(bits >> (Unit<T>::kDrawn - Unit<T>::kMantissa)), -Unit<T>::kMantissa);
    // Unlike the wider types, 16-bit floats round the product by itself.
    const T scaled = round_once<T>(unit * static_cast<double>(widen(range.span)));
    const T value = narrow<T>(widen(scaled) + widen(range.low));
    return widen(value) > widen(range.low) ? value : range.low;
  }
}

// The numbers that are wanted.
struct Draw {
  const uint32_t* keys;
  int64_t key_count, count;
  KeyLayout layout;
  void* workspace;
};

// All bits at once, which the older layout wants.
template <class T>
struct OriginalBits {
  OriginalBits(Workspace& w, int64_t key_count, int64_t count)
      : bits(w.take<typename Unit<T>::Bits>(key_count * count)),
        rest(w.take<std::byte>(static_cast<int64_t>(
            random_bits_workspace(count, Unit<T>::kDrawn, KeyLayout::kOriginal)))) {}
  typename Unit<T>::Bits* bits;
  std::byte* rest;
};

// Tiles of random bits to tiles of results, in parallel.
template <class T, class Convert>
void sample(const Draw& draw, T* out, Convert&& convert) {
  using Bits = typename Unit<T>::Bits;
  const Bits* all = nullptr;
  if (draw.layout == KeyLayout::kOriginal) {
    Workspace w(draw.workspace);
    const OriginalBits<T> space(w, draw.key_count, draw.count);
    random_bits(draw.keys, draw.key_count, draw.count, Unit<T>::kDrawn, draw.layout, space.bits,
                space.rest);
    all = space.bits;
  }
  parallel_for(draw.key_count * draw.count, kGrain, [&](int64_t begin, int64_t end) {
    const int64_t count = draw.count;
    alignas(64) Bits tile[kTile];
    while (begin < end) {
      const int64_t key = begin / count, first = begin % count;
      const int64_t size = std::min({kTile, count - first, end - begin});
      const Bits* bits = tile;
      if (all)
        bits = all + begin;
      else
        random_bits_part({draw.keys[2 * key], draw.keys[2 * key + 1]}, first, size, Unit<T>::kDrawn,
                         tile);
      convert(bits, size, out + begin);
      begin += size;
    }
  });
}

template <class T>
void uniform(const Draw& draw, const Range<T>& range, T* out) {
  sample(draw, out, [&](const auto* bits, int64_t size, T* to) {
    if constexpr (std::is_same_v<T, float>) {
      uniform_from_bits_f32(size, bits, range.low, range.span, to);
    } else {
      for (int64_t i = 0; i < size; ++i) to[i] = uniform_of<T>(bits[i], range);
    }
  });
}

// sqrt(2) * erf_inv(uniform on [low, high)), clamped.
template <class T>
void inverted_normal(const Draw& draw, const Range<T>& range, T* out) {
  const T least = range.least, most = range.most;
  sample(draw, out, [&](const auto* bits, int64_t size, T* to) {
    if constexpr (std::is_same_v<T, float>) {
      normal_from_bits_f32(size, bits, range.low, range.span, least, most, to);
    } else if constexpr (std::is_same_v<T, double>) {
      for (int64_t i = 0; i < size; ++i) {
        const double value = std::sqrt(2.0) * scalar::erf_inv(uniform_of<T>(bits[i], range));
        to[i] = std::min(std::max(value, least), most);
      }
    } else {
      const float root2 = widen(round_once<T>(std::sqrt(2.0)));
      float buffer[kTile];
      for (int64_t i = 0; i < size; ++i) buffer[i] = widen(uniform_of<T>(bits[i], range));
      erf_inv_f32(size, buffer, buffer);
      for (int64_t i = 0; i < size; ++i) {
        const float value = widen(narrow<T>(root2 * widen(narrow<T>(buffer[i]))));
        to[i] = narrow<T>(std::min(std::max(value, widen(least)), widen(most)));
      }
    }
  });
}

}  // namespace

size_t sampler_workspace(DType dtype, int64_t key_count, int64_t count, KeyLayout layout) {
  if (layout != KeyLayout::kOriginal) return 0;
  return visit_dtype(dtype, [&](auto zero) -> size_t {
    using T = decltype(zero);
    if constexpr (kIsFloating<T>) return workspace_bytes<OriginalBits<T>>(key_count, count);
    return 0;
  });
}

void random_uniform(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count, double low,
                    double high, KeyLayout layout, void* out, void* workspace) {
  visit_real("random_uniform", dtype, [&](auto zero) {
    using T = decltype(zero);
    uniform({keys, key_count, count, layout, workspace}, Range<T>(uniform_range(dtype, low, high)),
            static_cast<T*>(out));
  });
}

void random_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                   KeyLayout layout, void* out, void* workspace) {
  visit_real("random_normal", dtype, [&](auto zero) {
    using T = decltype(zero);
    inverted_normal({keys, key_count, count, layout, workspace}, Range<T>(normal_range(dtype)),
                    static_cast<T*>(out));
  });
}

void random_truncated_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                             double lower, double upper, KeyLayout layout, void* out,
                             void* workspace) {
  visit_real("random_truncated_normal", dtype, [&](auto zero) {
    using T = decltype(zero);
    inverted_normal({keys, key_count, count, layout, workspace},
                    Range<T>(truncated_normal_range(dtype, lower, upper)), static_cast<T*>(out));
  });
}

}  // namespace linnet::cpu
