// What depends on the spacing of a 16-bit format. `Words` converts between its words and float.
// Included inside a namespace that provides the basis.

/// The neighbour of a 16-bit number `a` in the direction of `b`, both widened to float.
template <class Words>
LINNET_SCALAR float nextafter_of_words(float a, float b) {
  const uint16_t word = Words::narrow(a);
  if (a != a || b != b) return a + b;
  if (a == b) return b;
  if (a == 0) return copy_sign(Words::widen(1), b);
  const bool grows = (a < b) == (a > 0);
  return Words::widen(static_cast<uint16_t>(grows ? word + 1 : word - 1));
}
