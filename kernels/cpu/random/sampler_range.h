// What samplers of all devices compute on the host once for all numbers: the bounds of a
// distribution, rounded as the specification says (docs/rng.md, sections 3 to 5.1).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/cpu/reduce/element.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

/// Uniform numbers are low + span u for u in [0, 1). Normal numbers are sqrt(2) times the inverse
/// error function of these, kept from `least` to `most`. All are numbers of the dtype.
struct SamplerRange {
  double low = 0, span = 1, least = 0, most = 0;
};

/// @throws DTypeError from all three for other than floating types.
SamplerRange uniform_range(DType dtype, double low, double high);
SamplerRange normal_range(DType dtype);
/// Of the open interval (lower, upper).
SamplerRange truncated_normal_range(DType dtype, double lower, double upper);

/// Rounds a double to T once: by way of a float rounded to odd, which cannot spoil the second
/// rounding.
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

}  // namespace linnet::cpu
