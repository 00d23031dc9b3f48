// Pack<D>: a SIMD vector that behaves like a number, so that the texts of kernels/scalar can be
// instantiated with it. Included inside namespace linnet::cpu::HWY_NAMESPACE, after plain_inl.h and
// before functions_inl.h. The fallback target has no vectors: there a number is its own vector.

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <class T>
using Number = T;

template <class T>
constexpr size_t lane_count() {
  return 1;
}
template <class T>
LINNET_SCALAR T load(const T* from) {
  return *from;
}
template <class T>
LINNET_SCALAR T load_first(const T* from, size_t) {
  return *from;
}
template <class T>
LINNET_SCALAR void store(T value, T* to) {
  *to = value;
}
template <class T>
LINNET_SCALAR void store_first(T value, T* to, size_t) {
  *to = value;
}

#else

/// Lanes that satisfy a condition.
template <class D>
struct Flag {
  hn::Mask<D> raw;
};
template <class D>
LINNET_SCALAR Flag<D> operator&(Flag<D> a, Flag<D> b) {
  return {hn::And(a.raw, b.raw)};
}
template <class D>
LINNET_SCALAR Flag<D> operator|(Flag<D> a, Flag<D> b) {
  return {hn::Or(a.raw, b.raw)};
}
template <class D>
LINNET_SCALAR Flag<D> operator!(Flag<D> a) {
  return {hn::Not(a.raw)};
}
template <class D>
LINNET_SCALAR bool any(Flag<D> a) {
  return !hn::AllFalse(D(), a.raw);
}

template <class D>
struct Pack {
  hn::Vec<D> raw;

  Pack() = default;
  LINNET_SCALAR explicit Pack(hn::TFromD<D> value) : raw(hn::Set(D(), value)) {}
  LINNET_SCALAR Pack(hn::Vec<D> vector) : raw(vector) {}
};

template <class D>
struct Traits<Pack<D>> {
  using Element = hn::TFromD<D>;
  using Bits = Pack<hn::RebindToUnsigned<D>>;
};

template <class D>
LINNET_SCALAR Pack<D> operator+(Pack<D> a, Pack<D> b) {
  return hn::Add(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Pack<D> operator-(Pack<D> a, Pack<D> b) {
  return hn::Sub(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Pack<D> operator*(Pack<D> a, Pack<D> b) {
  return hn::Mul(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Pack<D> operator/(Pack<D> a, Pack<D> b) {
  return hn::Div(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Pack<D> operator-(Pack<D> a) {
  return hn::Xor(a.raw, hn::SignBit(D()));
}
template <class D>
LINNET_SCALAR Pack<D> operator&(Pack<D> a, Pack<D> b) {
  return hn::And(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Pack<D> operator^(Pack<D> a, Pack<D> b) {
  return hn::Xor(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Flag<D> operator<(Pack<D> a, Pack<D> b) {
  return {hn::Lt(a.raw, b.raw)};
}
template <class D>
LINNET_SCALAR Flag<D> operator<=(Pack<D> a, Pack<D> b) {
  return {hn::Le(a.raw, b.raw)};
}
template <class D>
LINNET_SCALAR Flag<D> operator>(Pack<D> a, Pack<D> b) {
  return {hn::Gt(a.raw, b.raw)};
}
template <class D>
LINNET_SCALAR Flag<D> operator>=(Pack<D> a, Pack<D> b) {
  return {hn::Ge(a.raw, b.raw)};
}
template <class D>
LINNET_SCALAR Flag<D> operator==(Pack<D> a, Pack<D> b) {
  return {hn::Eq(a.raw, b.raw)};
}
// The vector library's Ne is false for NaN.
template <class D>
LINNET_SCALAR Flag<D> operator!=(Pack<D> a, Pack<D> b) {
  return {hn::Not(hn::Eq(a.raw, b.raw))};
}

template <class D>
LINNET_SCALAR Pack<D> select(Flag<D> condition, Pack<D> yes, Pack<D> no) {
  return hn::IfThenElse(condition.raw, yes.raw, no.raw);
}
// x86 min and max return their second operand when the comparison fails, which is what the basis
// wants.
template <class D>
LINNET_SCALAR Pack<D> smaller(Pack<D> a, Pack<D> b) {
  return hn::Min(a.raw, b.raw);
}
template <class D>
LINNET_SCALAR Pack<D> larger(Pack<D> a, Pack<D> b) {
  return hn::Max(a.raw, b.raw);
}

template <class D>
LINNET_SCALAR Bits<Pack<D>> bits(Pack<D> x) {
  return hn::BitCast(hn::RebindToUnsigned<D>(), x.raw);
}
template <class V>
  requires(std::is_class_v<V>)
LINNET_SCALAR V from_bits(Bits<V> word) {
  using D = hn::DFromV<decltype(V::raw)>;
  return hn::BitCast(D(), word.raw);
}
template <int count, class D>
LINNET_SCALAR Pack<D> shift_bits_left(Pack<D> word) {
  return hn::ShiftLeft<count>(word.raw);
}
template <int count, class D>
LINNET_SCALAR Pack<D> shift_bits_right_signed(Pack<D> word) {
  return hn::BitCast(D(), hn::ShiftRight<count>(hn::BitCast(hn::RebindToSigned<D>(), word.raw)));
}
template <class D>
LINNET_SCALAR Pack<D> select_by_sign(Pack<D> s, Pack<D> yes, Pack<D> no) {
  return hn::IfNegativeThenElse(s.raw, yes.raw, no.raw);
}

template <class D>
LINNET_SCALAR Pack<D> float_abs(Pack<D> x) {
  return hn::Abs(x.raw);
}
template <class D>
LINNET_SCALAR Pack<D> copy_sign(Pack<D> magnitude, Pack<D> sign) {
  return hn::CopySign(magnitude.raw, sign.raw);
}
template <class D>
LINNET_SCALAR Pack<D> sqrt(Pack<D> x) {
  return hn::Sqrt(x.raw);
}
template <class D>
LINNET_SCALAR Pack<D> floor(Pack<D> x) {
  return hn::Floor(x.raw);
}
template <class D>
LINNET_SCALAR Pack<D> ceil(Pack<D> x) {
  return hn::Ceil(x.raw);
}
template <class D>
LINNET_SCALAR Pack<D> trunc(Pack<D> x) {
  return hn::Trunc(x.raw);
}
template <class D>
LINNET_SCALAR Pack<D> round(Pack<D> x) {
  return hn::Round(x.raw);
}
// Fused where the instruction set can.
template <class D>
LINNET_SCALAR Pack<D> mul_add(Pack<D> a, Pack<D> b, Pack<D> c) {
  return hn::MulAdd(a.raw, b.raw, c.raw);
}
template <class D>
LINNET_SCALAR Pack<D> fma(Pack<D> a, Pack<D> b, Pack<D> c) {
#if HWY_NATIVE_FMA
  return hn::MulAdd(a.raw, b.raw, c.raw);
#else
  alignas(64) hn::TFromD<D> x[hn::MaxLanes(D())], y[hn::MaxLanes(D())], z[hn::MaxLanes(D())];
  hn::Store(a.raw, D(), x);
  hn::Store(b.raw, D(), y);
  hn::Store(c.raw, D(), z);
  for (size_t i = 0; i < hn::MaxLanes(D()); ++i) x[i] = library::fma(x[i], y[i], z[i]);
  return hn::Load(D(), x);
#endif
}

#if HWY_TARGET == HWY_AVX3
// The instruction rounds the product once, as the two exact-then-rounded factors of the basis do.
template <class D>
LINNET_SCALAR Pack<D> scale_by_power(Pack<D> mantissa, Pack<D> exponent) {
  if constexpr (kIsDouble<Pack<D>>) {
    return hn::Vec<D>{_mm512_scalef_pd(mantissa.raw.raw, exponent.raw.raw)};
  } else {
    return hn::Vec<D>{_mm512_scalef_ps(mantissa.raw.raw, exponent.raw.raw)};
  }
}
#endif

template <class F, class D, class... V>
LINNET_SCALAR Pack<D> in_double(F function, Pack<D> x, V... more) {
  using Half = hn::Half<D>;
  using Double = hn::Rebind<double, Half>;
  const auto low = [](auto v) HWY_ATTR {
    return Pack<Double>(hn::PromoteTo(Double(), hn::LowerHalf(Half(), v.raw)));
  };
  const auto high = [](auto v) HWY_ATTR {
    return Pack<Double>(hn::PromoteTo(Double(), hn::UpperHalf(Half(), v.raw)));
  };
  const Pack<Double> y0 = function(low(x), low(more)...);
  const Pack<Double> y1 = function(high(x), high(more)...);
  return hn::Combine(D(), hn::DemoteTo(Half(), y1.raw), hn::DemoteTo(Half(), y0.raw));
}

#define LINNET_LIBRARY_1(name)                           \
  template <class D>                                     \
  LINNET_SCALAR Pack<D> library_##name(Pack<D> x) {      \
    alignas(64) hn::TFromD<D> lanes[hn::MaxLanes(D())];  \
    hn::Store(x.raw, D(), lanes);                        \
    for (auto& lane : lanes) lane = library::name(lane); \
    return hn::Load(D(), lanes);                         \
  }
#define LINNET_LIBRARY_2(name)                                 \
  template <class D>                                           \
  LINNET_SCALAR Pack<D> library_##name(Pack<D> x, Pack<D> y) { \
    alignas(64) hn::TFromD<D> left[hn::MaxLanes(D())];         \
    alignas(64) hn::TFromD<D> right[hn::MaxLanes(D())];        \
    hn::Store(x.raw, D(), left);                               \
    hn::Store(y.raw, D(), right);                              \
    for (size_t i = 0; i < hn::MaxLanes(D()); ++i) {           \
      left[i] = library::name(left[i], right[i]);              \
    }                                                          \
    return hn::Load(D(), left);                                \
  }
LINNET_LIBRARY_FUNCTIONS(LINNET_LIBRARY_1, LINNET_LIBRARY_2)
#undef LINNET_LIBRARY_1
#undef LINNET_LIBRARY_2

template <class T>
using Number = Pack<hn::ScalableTag<T>>;

template <class T>
LINNET_SCALAR size_t lane_count() {
  return hn::Lanes(hn::ScalableTag<T>());
}
template <class T>
LINNET_SCALAR Number<T> load(const T* from) {
  return hn::LoadU(hn::ScalableTag<T>(), from);
}
template <class T>
LINNET_SCALAR void store(Number<T> value, T* to) {
  hn::StoreU(value.raw, hn::ScalableTag<T>(), to);
}
/// The first `count` lanes, the others zero; reads no further.
template <class T>
LINNET_SCALAR Number<T> load_first(const T* from, size_t count) {
  const hn::ScalableTag<T> d;
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
}
template <class T>
LINNET_SCALAR void store_first(Number<T> value, T* to, size_t count) {
  const hn::ScalableTag<T> d;
  hn::BlendedStore(value.raw, hn::FirstN(d, count), d, to);
}

#endif
