// Conversions between numbers, one at a time. Included inside a namespace that provides the basis.

/// float to integer: truncates, saturates, NaN becomes 0. Anything to bool: whether it is not zero.
template <class To, class From>
LINNET_SCALAR To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // The least and the first too large value are powers of two (or zero), so exact in every
    // format.
    constexpr int kBits = 8 * static_cast<int>(sizeof(To)) - (static_cast<To>(-1) < To(0) ? 1 : 0);
    constexpr To kMax = static_cast<To>(~0ull >> (64 - kBits));
    constexpr To kMin = static_cast<To>(-kMax - 1 < 0 ? -kMax - 1 : 0);
    constexpr From kLimit = static_cast<From>(1ull << (kBits - 1)) * 2;
    constexpr From kLow = static_cast<To>(-1) < To(0) ? -kLimit : From(0);
    const bool fits = (x > kLow) & (x < kLimit);
    const To inside = static_cast<To>(fits ? x : From(0));
    const To outside = x >= kLimit ? kMax : x <= kLow ? kMin : To(0);
    return fits ? inside : outside;
  } else {
    return static_cast<To>(x);
  }
}

/// Rounds to odd: toward zero, with the last bit set if anything was cut off. Rounding the result
/// once more to a shorter format then gives what rounding the argument directly would have given.
LINNET_SCALAR float round_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double back = static_cast<double>(nearest);
  const bool is_above = float_abs(back) > float_abs(x);
  const bool is_inexact = (back < x) | (back > x);
  const uint32_t word = bits(nearest) - static_cast<uint32_t>(is_above);
  return from_bits<float>(word | static_cast<uint32_t>(is_inexact));
}

/// A float that rounds to f16 and bf16 as `x` would.
template <class From>
LINNET_SCALAR float convert_for_half(From x) {
  if constexpr (std::is_same_v<From, double>) {
    return round_to_odd(x);
  } else if constexpr (std::is_integral_v<From> && sizeof(From) == 4) {
    return round_to_odd(static_cast<double>(x));
  } else if constexpr (std::is_integral_v<From> && sizeof(From) == 8) {
    // More than 53 bits: fold the low twelve into one that says whether any of them was set.
    constexpr From kHead = static_cast<From>(1ull << 52);
    const bool is_long =
        x >= kHead || (static_cast<From>(-1) < From(0) && x <= static_cast<From>(-kHead));
    const auto word = static_cast<uint64_t>(x);
    const uint64_t folded = (word & ~0xFFFull) | ((word & 0xFFFu) != 0 ? 0x800u : 0u);
    return round_to_odd(static_cast<double>(is_long ? static_cast<From>(folded) : x));
  } else {
    return static_cast<float>(x);
  }
}
