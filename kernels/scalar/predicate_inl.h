// Comparisons of any type and classification of floats, one number at a time: the loops around them
// are simple enough for the compiler to vectorise. A comparison with NaN is false, `ne` is true.
// Included inside a namespace that provides the basis.

template <class V>
LINNET_SCALAR auto eq(V a, V b) {
  return a == b;
}
template <class V>
LINNET_SCALAR auto ne(V a, V b) {
  return a != b;
}
template <class V>
LINNET_SCALAR auto lt(V a, V b) {
  return a < b;
}
template <class V>
LINNET_SCALAR auto le(V a, V b) {
  return a <= b;
}
template <class V>
LINNET_SCALAR auto gt(V a, V b) {
  return a > b;
}
template <class V>
LINNET_SCALAR auto ge(V a, V b) {
  return a >= b;
}

// Decided on the bits: without its sign, infinity is the first word that is not a finite number.
template <class V>
LINNET_SCALAR Bits<V> magnitude_bits(V x) {
  return bits(x) & (~Bits<V>(0) >> 1);
}
template <class V>
LINNET_SCALAR Bits<V> infinity_bits() {
  return bits(static_cast<V>(__builtin_inf()));
}
template <class V>
LINNET_SCALAR auto is_finite(V x) {
  return magnitude_bits(x) < infinity_bits<V>();
}
template <class V>
LINNET_SCALAR auto is_nan(V x) {
  return magnitude_bits(x) > infinity_bits<V>();
}
template <class V>
LINNET_SCALAR auto is_inf(V x) {
  return magnitude_bits(x) == infinity_bits<V>();
}
