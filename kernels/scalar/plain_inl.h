// The basis of the scalar functions for plain numbers: what float, double and the integers must
// offer so that the *_inl.h texts of this folder can be written once for them and for SIMD vectors.
//
// Included inside a namespace; LINNET_SCALAR must be defined as the prefix of an inline function.
// The including file provides <type_traits> (or kernels/cuda/device/standard.h) and a namespace
// `library` with the functions of "kernels/scalar/library.h".

// LINNET_BUILTIN(sqrtf): a function of <math.h> that is one instruction where the machine has it.
#if defined(__CUDACC__)
#define LINNET_BUILTIN(name) ::name
#else
#define LINNET_BUILTIN(name) __builtin_##name
#endif

template <class V>
struct Traits {
  using Element = V;
  using Bits = std::conditional_t<sizeof(V) == 8, uint64_t, uint32_t>;
};
template <class V>
using Element = typename Traits<V>::Element;
/// Unsigned integers as wide as the elements of V.
template <class V>
using Bits = typename Traits<V>::Bits;

template <class V>
inline constexpr bool kIsDouble = std::is_same_v<Element<V>, double>;
template <class V>
inline constexpr bool kIsInteger = std::is_integral_v<Element<V>>;

template <class V>
LINNET_SCALAR V constant(double value) {
  return V(static_cast<Element<V>>(value));
}
template <class V>
LINNET_SCALAR Bits<V> bits_constant(uint64_t value) {
  return Bits<V>(static_cast<Element<Bits<V>>>(value));
}

template <class V>
LINNET_SCALAR V select(bool condition, V yes, V no) {
  return condition ? yes : no;
}
LINNET_SCALAR bool any(bool condition) { return condition; }

/// The smaller of two numbers; `b` if either is NaN.
template <class V>
LINNET_SCALAR V smaller(V a, V b) {
  return a < b ? a : b;
}
/// The larger of two numbers; `b` if either is NaN.
template <class V>
LINNET_SCALAR V larger(V a, V b) {
  return a > b ? a : b;
}

LINNET_SCALAR uint32_t bits(float x) { return __builtin_bit_cast(uint32_t, x); }
LINNET_SCALAR uint64_t bits(double x) { return __builtin_bit_cast(uint64_t, x); }
template <class V>
  requires(std::is_floating_point_v<V>)
LINNET_SCALAR V from_bits(Bits<V> word) {
  return __builtin_bit_cast(V, word);
}
template <int count, class U>
LINNET_SCALAR U shift_bits_left(U word) {
  return word << count;
}
/// Right shift that repeats the top bit.
template <int count, class U>
LINNET_SCALAR U shift_bits_right_signed(U word) {
  return static_cast<U>(static_cast<std::make_signed_t<U>>(word) >> count);
}
/// `yes` where the sign bit of `s` is set.
template <class V>
LINNET_SCALAR V select_by_sign(V s, V yes, V no) {
  return (bits(s) >> (8 * sizeof(V) - 1)) != 0 ? yes : no;
}

LINNET_SCALAR float float_abs(float x) { return LINNET_BUILTIN(fabsf)(x); }
LINNET_SCALAR double float_abs(double x) { return LINNET_BUILTIN(fabs)(x); }
LINNET_SCALAR float copy_sign(float magnitude, float sign) {
  return LINNET_BUILTIN(copysignf)(magnitude, sign);
}
LINNET_SCALAR double copy_sign(double magnitude, double sign) {
  return LINNET_BUILTIN(copysign)(magnitude, sign);
}
LINNET_SCALAR float sqrt(float x) { return LINNET_BUILTIN(sqrtf)(x); }
LINNET_SCALAR double sqrt(double x) { return LINNET_BUILTIN(sqrt)(x); }
LINNET_SCALAR float floor(float x) { return LINNET_BUILTIN(floorf)(x); }
LINNET_SCALAR double floor(double x) { return LINNET_BUILTIN(floor)(x); }
LINNET_SCALAR float ceil(float x) { return LINNET_BUILTIN(ceilf)(x); }
LINNET_SCALAR double ceil(double x) { return LINNET_BUILTIN(ceil)(x); }
LINNET_SCALAR float trunc(float x) { return LINNET_BUILTIN(truncf)(x); }
LINNET_SCALAR double trunc(double x) { return LINNET_BUILTIN(trunc)(x); }
LINNET_SCALAR float round(float x) { return LINNET_BUILTIN(rintf)(x); }
LINNET_SCALAR double round(double x) { return LINNET_BUILTIN(rint)(x); }

LINNET_SCALAR int count_ones(uint64_t word) {
#if defined(__CUDACC__)
  return ::__popcll(word);
#else
  return __builtin_popcountll(word);
#endif
}

/// a * b + c, rounded once or twice, whichever is faster.
template <class V>
LINNET_SCALAR V mul_add(V a, V b, V c) {
  return a * b + c;
}
/// a * b + c, rounded once.
LINNET_SCALAR float fma(float a, float b, float c) { return library::fma(a, b, c); }
LINNET_SCALAR double fma(double a, double b, double c) { return library::fma(a, b, c); }

/// mantissa * 2^exponent for an integral exponent and a mantissa near 1; the result may overflow or
/// be subnormal, hence two factors.
template <class V>
LINNET_SCALAR V scale_by_power(V mantissa, V exponent) {
  constexpr int kMantissaBits = kIsDouble<V> ? 52 : 23;
  constexpr uint64_t kBias = kIsDouble<V> ? 1023 : 127;
  const V magic = constant<V>(kIsDouble<V> ? 0x1.8p52 : 0x1.8p23);
  const auto power = bits(exponent + magic) - bits(magic);
  const auto half = shift_bits_right_signed<1>(power);
  const auto bias = bits_constant<V>(kBias);
  const V first = from_bits<V>(shift_bits_left<kMantissaBits>(half + bias));
  const V second = from_bits<V>(shift_bits_left<kMantissaBits>(power - half + bias));
  return mantissa * first * second;
}

/// Evaluates `function` in double precision and rounds once.
template <class F, class... V>
LINNET_SCALAR float in_double(F function, V... x) {
  return static_cast<float>(function(static_cast<double>(x)...));
}

#define LINNET_LIBRARY_FUNCTIONS(X1, X2) \
  X1(sin)                                \
  X1(cos)                                \
  X1(tan)                                \
  X1(asin)                               \
  X1(acos) X1(atan) X1(cbrt) X1(lgamma) X1(digamma) X2(pow) X2(atan2) X2(fmod) X2(nextafter)

#define LINNET_LIBRARY_1(name)                                             \
  LINNET_SCALAR float library_##name(float x) { return library::name(x); } \
  LINNET_SCALAR double library_##name(double x) { return library::name(x); }
#define LINNET_LIBRARY_2(name)                                                         \
  LINNET_SCALAR float library_##name(float x, float y) { return library::name(x, y); } \
  LINNET_SCALAR double library_##name(double x, double y) { return library::name(x, y); }
LINNET_LIBRARY_FUNCTIONS(LINNET_LIBRARY_1, LINNET_LIBRARY_2)
#undef LINNET_LIBRARY_1
#undef LINNET_LIBRARY_2
#undef LINNET_BUILTIN
