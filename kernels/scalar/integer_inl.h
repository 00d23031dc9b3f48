// Functions of integers and bool. Arithmetic wraps modulo 2^bits and is done on unsigned words of
// at least 32 bits, where that is defined. On bool, addition is or and multiplication is and.
// Included inside a namespace that provides the basis.

#define LINNET_INTEGER_FUNCTION \
  template <class V>            \
    requires(kIsInteger<V>)     \
  LINNET_SCALAR V

template <class V>
using Wide = std::conditional_t<sizeof(V) == 8, uint64_t, uint32_t>;
template <class V>
inline constexpr int kBitCount = 8 * static_cast<int>(sizeof(V));
template <class V>
inline constexpr bool kIsSigned = static_cast<V>(-1) < static_cast<V>(1);

LINNET_INTEGER_FUNCTION neg(V x) { return static_cast<V>(Wide<V>(0) - static_cast<Wide<V>>(x)); }
/// The most negative number has no positive counterpart and stays as it is.
LINNET_INTEGER_FUNCTION abs(V x) { return x < V(0) ? neg(x) : x; }
LINNET_INTEGER_FUNCTION sign(V x) { return static_cast<V>((x > V(0)) - (x < V(0))); }
LINNET_INTEGER_FUNCTION add(V a, V b) {
  return static_cast<V>(static_cast<Wide<V>>(a) + static_cast<Wide<V>>(b));
}
LINNET_INTEGER_FUNCTION sub(V a, V b) {
  return static_cast<V>(static_cast<Wide<V>>(a) - static_cast<Wide<V>>(b));
}
LINNET_INTEGER_FUNCTION mul(V a, V b) {
  return static_cast<V>(static_cast<Wide<V>>(a) * static_cast<Wide<V>>(b));
}
LINNET_INTEGER_FUNCTION square(V x) { return mul(x, x); }
/// Truncates toward zero. Division by zero gives -1, all bits set; the most negative number by -1
/// gives itself.
LINNET_INTEGER_FUNCTION div(V a, V b) {
  if (b == V(0)) return static_cast<V>(-1);
  if constexpr (kIsSigned<V>) {
    if (b == V(-1)) return neg(a);
  }
  return static_cast<V>(a / b);
}
/// a - div(a, b) * b: it has the sign of `a`, and is `a` when `b` is zero.
LINNET_INTEGER_FUNCTION rem(V a, V b) {
  if (b == V(0)) return a;
  if constexpr (kIsSigned<V>) {
    if (b == V(-1)) return V(0);
  }
  return static_cast<V>(a % b);
}
/// x^n modulo 2^bits. A negative power is 1/x^-n truncated: 0 unless x is 1 or -1 (and 0 for x =
/// 0).
LINNET_INTEGER_FUNCTION integer_power(V x, V exponent) {
  if (kIsSigned<V> && exponent < V(0)) {
    if (x == V(1)) return x;
    if (x == static_cast<V>(-1)) return (exponent & V(1)) != 0 ? x : V(1);
    return V(0);
  }
  V result = V(1);
  V power = x;
  for (V left = exponent; left != V(0);) {
    if ((left & V(1)) != 0) result = mul(result, power);
    left = static_cast<V>(left >> 1);
    power = mul(power, power);
  }
  return result;
}
LINNET_INTEGER_FUNCTION pow(V x, V y) { return integer_power(x, y); }
LINNET_INTEGER_FUNCTION integer_pow(V x, double exponent) {
  const auto n = static_cast<int64_t>(exponent);
  if (n < 0) {
    if (x == V(1)) return x;
    if (kIsSigned<V> && x == static_cast<V>(-1)) return (n & 1) != 0 ? x : V(1);
    return V(0);
  }
  V result = V(1);
  V power = x;
  for (int64_t left = n; left != 0; left >>= 1) {
    if ((left & 1) != 0) result = mul(result, power);
    power = mul(power, power);
  }
  return result;
}
LINNET_INTEGER_FUNCTION max(V a, V b) { return a > b ? a : b; }
LINNET_INTEGER_FUNCTION min(V a, V b) { return a < b ? a : b; }
LINNET_INTEGER_FUNCTION clamp(V low, V x, V high) { return min(max(x, low), high); }
LINNET_INTEGER_FUNCTION relu(V x) { return max(x, V(0)); }
LINNET_INTEGER_FUNCTION relu6(V x) { return min(max(x, V(0)), V(6)); }
LINNET_INTEGER_FUNCTION relu_grad(V x, V cotangent) { return x > V(0) ? cotangent : V(0); }

/// All bits flipped; for bool the logical negation.
LINNET_INTEGER_FUNCTION bitwise_not(V x) {
  if constexpr (std::is_same_v<V, bool>) {
    return !x;
  } else {
    return static_cast<V>(~x);
  }
}
LINNET_INTEGER_FUNCTION bitwise_and(V a, V b) { return static_cast<V>(a & b); }
LINNET_INTEGER_FUNCTION bitwise_or(V a, V b) { return static_cast<V>(a | b); }
LINNET_INTEGER_FUNCTION bitwise_xor(V a, V b) { return static_cast<V>(a ^ b); }
LINNET_INTEGER_FUNCTION popcount(V x) {
  return static_cast<V>(count_ones(static_cast<std::make_unsigned_t<V>>(x)));
}

// A shift by at least the number of bits, or by a negative number, shifts everything out.
LINNET_INTEGER_FUNCTION shift_left(V x, V count) {
  const auto n = static_cast<Wide<V>>(count);
  const auto shifted = static_cast<V>(static_cast<Wide<V>>(x) << (n & (kBitCount<Wide<V>> - 1)));
  return n < static_cast<Wide<V>>(kBitCount<V>) ? shifted : V(0);
}
LINNET_INTEGER_FUNCTION shift_right_logical(V x, V count) {
  const auto n = static_cast<Wide<V>>(count);
  const auto word = static_cast<Wide<V>>(static_cast<std::make_unsigned_t<V>>(x));
  const auto shifted = static_cast<V>(word >> (n & (kBitCount<Wide<V>> - 1)));
  return n < static_cast<Wide<V>>(kBitCount<V>) ? shifted : V(0);
}
/// Repeats the sign bit, also in unsigned types.
LINNET_INTEGER_FUNCTION shift_right_arithmetic(V x, V count) {
  const auto n = static_cast<Wide<V>>(count);
  const auto limit = static_cast<Wide<V>>(kBitCount<V> - 1);
  const auto value =
      static_cast<std::make_signed_t<Wide<V>>>(static_cast<std::make_signed_t<V>>(x));
  return static_cast<V>(value >> (n < limit ? n : limit));
}
