#include "kernels/cpu/random/samplers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/random/normal_vector.h"
#include "kernels/cpu/reduce/element.h"
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

// Tiles of random bits to tiles of results, in parallel.
template <class T, class Convert>
void sample(const uint32_t* keys, int64_t key_count, int64_t count, KeyLayout layout, T* out,
            Convert&& convert) {
  using Bits = typename Unit<T>::Bits;
  std::vector<Bits> all;
  if (layout == KeyLayout::kOriginal) {
    all.resize(static_cast<size_t>(key_count * count));
    random_bits(keys, key_count, count, Unit<T>::kDrawn, layout, all.data());
  }
  parallel_for(key_count * count, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) Bits tile[kTile];
    while (begin < end) {
      const int64_t key = begin / count, first = begin % count;
      const int64_t size = std::min({kTile, count - first, end - begin});
      const Bits* bits = tile;
      if (layout == KeyLayout::kOriginal)
        bits = all.data() + begin;
      else
        random_bits_part({keys[2 * key], keys[2 * key + 1]}, first, size, Unit<T>::kDrawn, tile);
      convert(bits, size, out + begin);
      begin += size;
    }
  });
}

template <class T>
void uniform(const uint32_t* keys, int64_t key_count, int64_t count, double low, double high,
             KeyLayout layout, T* out) {
  const Range<T> range(round_once<T>(low), round_once<T>(high));
  sample(keys, key_count, count, layout, out, [&](const auto* bits, int64_t size, T* to) {
    if constexpr (std::is_same_v<T, float>) {
      uniform_from_bits_f32(size, bits, range.low, range.span, to);
    } else {
      for (int64_t i = 0; i < size; ++i) to[i] = uniform_of<T>(bits[i], range);
    }
  });
}

// sqrt(2) * erf_inv(uniform on [low, high)), clamped.
template <class T>
void inverted_normal(const uint32_t* keys, int64_t key_count, int64_t count, Range<T> range,
                     T least, T most, KeyLayout layout, T* out) {
  sample(keys, key_count, count, layout, out, [&](const auto* bits, int64_t size, T* to) {
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
void normal(const uint32_t* keys, int64_t key_count, int64_t count, KeyLayout layout, T* out) {
  const T infinity = narrow<T>(std::numeric_limits<float>::infinity());
  const T minus_infinity = narrow<T>(-std::numeric_limits<float>::infinity());
  inverted_normal<T>(keys, key_count, count,
                     Range<T>(next(narrow<T>(-1.0f), true), narrow<T>(1.0f)), minus_infinity,
                     infinity, layout, out);
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
void truncated_normal(const uint32_t* keys, int64_t key_count, int64_t count, double lower,
                      double upper, KeyLayout layout, T* out) {
  const T low = round_once<T>(lower), high = round_once<T>(upper);
  inverted_normal<T>(keys, key_count, count, Range<T>(erf_of_scaled(low), erf_of_scaled(high)),
                     next(low, true), next(high, false), layout, out);
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

void random_uniform(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count, double low,
                    double high, KeyLayout layout, void* out) {
  visit_floating("random_uniform", dtype, [&](auto zero) {
    uniform(keys, key_count, count, low, high, layout, static_cast<decltype(zero)*>(out));
  });
}

void random_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                   KeyLayout layout, void* out) {
  visit_floating("random_normal", dtype, [&](auto zero) {
    normal(keys, key_count, count, layout, static_cast<decltype(zero)*>(out));
  });
}

void random_truncated_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                             double lower, double upper, KeyLayout layout, void* out) {
  visit_floating("random_truncated_normal", dtype, [&](auto zero) {
    truncated_normal(keys, key_count, count, lower, upper, layout,
                     static_cast<decltype(zero)*>(out));
  });
}

}  // namespace linnet::cpu
