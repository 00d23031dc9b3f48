// Fast: a float on which the texts of kernels/scalar use the approximate instructions. Errors are
// below 2^-17 of the result, far less than what rounding to 16 bits does. Values below 2^-126 are
// zero where exponentials are taken: what follows (silu, the derivatives) may lose up to 2^-118
// times its operand, and an infinite operand then gives NaN. Quotients inside the texts expect
// divisors below 2^126; `div` and `reciprocal` take all.
// Included inside a namespace that provides the basis.

struct Fast {
  float value;
  Fast() = default;
  LINNET_SCALAR Fast(float x) : value(x) {}
  explicit LINNET_SCALAR operator double() const { return value; }
};
template <>
struct Traits<Fast> {
  using Element = float;
  using Bits = uint32_t;
};

LINNET_SCALAR Fast operator+(Fast a, Fast b) { return a.value + b.value; }
LINNET_SCALAR Fast operator-(Fast a, Fast b) { return a.value - b.value; }
LINNET_SCALAR Fast operator*(Fast a, Fast b) { return a.value * b.value; }
LINNET_SCALAR Fast operator-(Fast a) { return -a.value; }
LINNET_SCALAR Fast operator/(Fast a, Fast b) { return a.value * reciprocal_approximate(b.value); }
LINNET_SCALAR bool operator<(Fast a, Fast b) { return a.value < b.value; }
LINNET_SCALAR bool operator>(Fast a, Fast b) { return a.value > b.value; }
LINNET_SCALAR bool operator<=(Fast a, Fast b) { return a.value <= b.value; }
LINNET_SCALAR bool operator>=(Fast a, Fast b) { return a.value >= b.value; }
LINNET_SCALAR bool operator==(Fast a, Fast b) { return a.value == b.value; }
LINNET_SCALAR bool operator!=(Fast a, Fast b) { return a.value != b.value; }

LINNET_SCALAR uint32_t bits(Fast x) { return bits(x.value); }
template <class V>
  requires(std::is_same_v<V, Fast>)
LINNET_SCALAR V from_bits(uint32_t word) {
  return from_bits<float>(word);
}
LINNET_SCALAR Fast float_abs(Fast x) { return float_abs(x.value); }
LINNET_SCALAR Fast copy_sign(Fast magnitude, Fast sign) {
  return copy_sign(magnitude.value, sign.value);
}
LINNET_SCALAR Fast fma(Fast a, Fast b, Fast c) { return fma(a.value, b.value, c.value); }

#if defined(__CUDACC__)
/// a / b for all b, at most 2 units of the last place off.
LINNET_SCALAR float divide_approximate(float a, float b) {
  float y;
  asm("div.full.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
LINNET_SCALAR float sqrt_approximate(float x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// For subnormal numbers too, unlike `reciprocal_sqrt_approximate`.
LINNET_SCALAR float rsqrt_approximate(float x) {
  float y;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
LINNET_SCALAR float divide_approximate(float a, float b) { return a / b; }
LINNET_SCALAR float sqrt_approximate(float x) { return sqrt(x); }
LINNET_SCALAR float rsqrt_approximate(float x) { return 1 / sqrt(x); }
#endif

LINNET_SCALAR Fast div(Fast a, Fast b) { return divide_approximate(a.value, b.value); }
LINNET_SCALAR Fast reciprocal(Fast x) { return divide_approximate(1.0f, x.value); }
LINNET_SCALAR Fast sqrt(Fast x) { return sqrt_approximate(x.value); }
LINNET_SCALAR Fast rsqrt(Fast x) { return rsqrt_approximate(x.value); }
LINNET_SCALAR Fast exp2(Fast x) { return exp2_approximate(x.value); }
LINNET_SCALAR Fast exp(Fast x) { return exp2_approximate(x.value * 1.44269504f); }
LINNET_SCALAR Fast logistic(Fast x) {
  return reciprocal_approximate(1.0f + exp2_approximate(x.value * -1.44269504f));
}
