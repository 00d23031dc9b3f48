#include "kernels/cpu/random/samplers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/random/normal_vector.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/workspace.h"
#include "kernels/scalar/host.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

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
  static constexpr int kDrawn = 32, kMantissa = 23;
};
template <>
struct Unit<double> {
  using Bits = uint64_t;
  static constexpr int kDrawn = 64, kMantissa = 52;
};
template <>
struct Unit<float16> {
  using Bits = uint16_t;
  static constexpr int kDrawn = 16, kMantissa = 10;
};
template <>
struct Unit<bfloat16> {
  using Bits = uint8_t;
  static constexpr int kDrawn = 8, kMantissa = 7;
};

// Rounds a double to T once: by way of a float rounded to odd, which cannot spoil the second
// rounding.
template <class T>
T round_once(double value) {
  if constexpr (!kIsHalf<T>) {
    return static_cast<T>(value);
  } else {
    float near = static_cast<float>(value);
    if (static_cast<double>(near) != value && (std::bit_cast<uint32_t>(near) & 1u) == 0 &&
        std::isfinite(near)) {
      const bool up = static_cast<double>(near) < value;
      near = std::nextafter(near, up ? std::numeric_limits<float>::infinity()
                                     : -std::numeric_limits<float>::infinity());
    }
    return T(near);
  }
}

// The neighbour of `value` towards +infinity (up) or -infinity.
template <class T>
T next(T value, bool up) {
  using Word = std::conditional_t<sizeof(T) == 2, uint16_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
  Word word = std::bit_cast<Word>(value);
  constexpr Word kSign = Word(Word(1) << (sizeof(T) * 8 - 1));
  if ((word & Word(~kSign)) == 0) return std::bit_cast<T>(Word(up ? 1 : kSign | 1));
  const bool negative = (word & kSign) != 0;
  word = Word(negative == up ? word - 1 : word + 1);
  return std::bit_cast<T>(word);
}

template <class T>
struct Range {
  T low, span;
  Range(T low_bound, T high_bound) : low(low_bound) {
    span = narrow<T>(widen(high_bound) - widen(low_bound));
  }
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
void uniform(const Draw& draw, double low, double high, T* out) {
  const Range<T> range(round_once<T>(low), round_once<T>(high));
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
void inverted_normal(const Draw& draw, Range<T> range, T least, T most, T* out) {
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

template <class T>
void normal(const Draw& draw, T* out) {
  const T infinity = narrow<T>(std::numeric_limits<float>::infinity());
  const T minus_infinity = narrow<T>(-std::numeric_limits<float>::infinity());
  inverted_normal<T>(draw, Range<T>(next(narrow<T>(-1.0f), true), narrow<T>(1.0f)), minus_infinity,
                     infinity, out);
}

template <class T>
T erf_of_scaled(T bound) {
  if constexpr (std::is_same_v<T, double>)
    return scalar::erf(bound / std::sqrt(2.0));
  else
    return narrow<T>(
        scalar::erf(widen(narrow<T>(widen(bound) / widen(round_once<T>(std::sqrt(2.0)))))));
}

template <class T>
void truncated_normal(const Draw& draw, double lower, double upper, T* out) {
  const T low = round_once<T>(lower), high = round_once<T>(upper);
  inverted_normal<T>(draw, Range<T>(erf_of_scaled(low), erf_of_scaled(high)), next(low, true),
                     next(high, false), out);
}

template <class F>
void visit_floating(const char* operation, DType dtype, F&& f) {
  visit_dtype(dtype, [&](auto zero) {
    if constexpr (kIsFloating<decltype(zero)>)
      f(zero);
    else
      throw DTypeError(std::string(operation) + ": expected a floating type, got " +
                       std::string(name_of(dtype)));
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
  visit_floating("random_uniform", dtype, [&](auto zero) {
    uniform({keys, key_count, count, layout, workspace}, low, high,
            static_cast<decltype(zero)*>(out));
  });
}

void random_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                   KeyLayout layout, void* out, void* workspace) {
  visit_floating("random_normal", dtype, [&](auto zero) {
    normal({keys, key_count, count, layout, workspace}, static_cast<decltype(zero)*>(out));
  });
}

void random_truncated_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                             double lower, double upper, KeyLayout layout, void* out,
                             void* workspace) {
  visit_floating("random_truncated_normal", dtype, [&](auto zero) {
    truncated_normal({keys, key_count, count, layout, workspace}, lower, upper,
                     static_cast<decltype(zero)*>(out));
  });
}

}  // namespace linnet::cpu
