// Private: numbers that write down what is done to them, so that the texts of kernels/scalar,
// called with them, give the program of a function. Everything is appended to the program of the
// innermost Recording of the thread.
//
//   Recording recording(program, /*has_scale=*/true);
//   const int y = recorded::tanh(Recorded<float>::of(x)).id;   // appends the instructions of tanh
//
// A function that goes to the C library, or decides by looking at values, throws NotRecordable.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/ops/scalar_functions.h"
#include "kernels/cpu/codegen/vector_program.h"
#include "kernels/scalar/library.h"

namespace linnet::cpu::codegen {

/// Thrown by functions that have no instructions; caught by expand().
struct NotRecordable {};

class Recording {
 public:
  /// @param has_scale whether there is an instruction that multiplies with a power of two.
  Recording(VectorProgram& program, bool has_scale)
      : program(program), has_scale(has_scale), previous_(current()) {
    current() = this;
  }
  ~Recording() { current() = previous_; }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  static Recording*& current() {
    thread_local Recording* innermost = nullptr;
    return innermost;
  }

  VectorProgram& program;
  const bool has_scale;

 private:
  Recording* previous_;
};

inline int record(VectorNode node) { return Recording::current()->program.append(node); }

namespace recorded {
#define LINNET_SCALAR inline
#include "kernels/scalar/plain_inl.h"

/// Lanes that satisfy a condition.
struct Flag {
  int id;
};

template <class T>
struct Recorded {
  int id;

  Recorded() = default;
  explicit Recorded(T value) {
    if constexpr (sizeof(T) == 8) {
      id = record({.wide = true, .bits = std::bit_cast<uint64_t>(value)});
    } else {
      id = record({.bits = std::bit_cast<uint32_t>(value)});
    }
  }
  static Recorded of(int node) {
    Recorded x;
    x.id = node;
    return x;
  }
};

template <class T>
struct Traits<Recorded<T>> {
  using Element = T;
  using Bits = Recorded<std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;
};

template <class T>
Recorded<T> apply(VectorOp op, Recorded<T> a, Recorded<T> b, uint8_t immediate = 0) {
  return Recorded<T>::of(
      record({.op = op, .wide = sizeof(T) == 8, .immediate = immediate, .src = {a.id, b.id, -1}}));
}
template <class T>
Recorded<T> apply(VectorOp op, Recorded<T> a, uint8_t immediate = 0) {
  return Recorded<T>::of(
      record({.op = op, .wide = sizeof(T) == 8, .immediate = immediate, .src = {a.id, -1, -1}}));
}
inline Flag apply_mask(VectorOp op, int a, int b = -1, uint8_t immediate = 0, bool wide = false) {
  return {
      record({.op = op, .wide = wide, .is_mask = true, .immediate = immediate, .src = {a, b, -1}})};
}

inline Flag operator&(Flag a, Flag b) { return apply_mask(VectorOp::kMaskAnd, a.id, b.id); }
inline Flag operator|(Flag a, Flag b) { return apply_mask(VectorOp::kMaskOr, a.id, b.id); }
inline Flag operator^(Flag a, Flag b) { return apply_mask(VectorOp::kMaskXor, a.id, b.id); }
inline Flag operator!(Flag a) { return apply_mask(VectorOp::kMaskNot, a.id); }
/// Both ways are computed.
inline bool any(Flag) { return true; }

#define LINNET_RECORD(symbol, of_floats, of_words)                                              \
  template <class T>                                                                            \
  Recorded<T> operator symbol(Recorded<T> a, Recorded<T> b) {                                   \
    return apply(std::is_floating_point_v<T> ? VectorOp::of_floats : VectorOp::of_words, a, b); \
  }
LINNET_RECORD(+, kAdd, kWordAdd)
LINNET_RECORD(-, kSub, kWordSub)
LINNET_RECORD(*, kMul, kWordMul)
#undef LINNET_RECORD
template <class T>
  requires(std::is_floating_point_v<T>)
Recorded<T> operator/(Recorded<T> a, Recorded<T> b) {
  return apply(VectorOp::kDiv, a, b);
}
template <class T>
Recorded<T> operator&(Recorded<T> a, Recorded<T> b) {
  return apply(VectorOp::kAnd, a, b);
}
template <class T>
Recorded<T> operator|(Recorded<T> a, Recorded<T> b) {
  return apply(VectorOp::kOr, a, b);
}
template <class T>
Recorded<T> operator^(Recorded<T> a, Recorded<T> b) {
  return apply(VectorOp::kXor, a, b);
}
template <class T>
Recorded<T> operator~(Recorded<T> a) {
  return a ^ Recorded<T>(static_cast<T>(~T(0)));
}
template <class T>
Recorded<T> operator>>(Recorded<T> a, int count) {
  return apply(VectorOp::kShiftRight, a, static_cast<uint8_t>(count));
}
template <class T>
Recorded<T> operator-(Recorded<T> a) {
  return apply(VectorOp::kXor, a, Recorded<T>(T(-0.0)));
}

/// Predicates of vcmpps, and of unsigned words.
#define LINNET_COMPARE(symbol, of_floats, of_words)                                         \
  template <class T>                                                                        \
  Flag operator symbol(Recorded<T> a, Recorded<T> b) {                                      \
    constexpr bool kFloat = std::is_floating_point_v<T>;                                    \
    constexpr int kOfWords = static_cast<int>(WordPredicate::of_words) + 8;                 \
    return apply_mask(kFloat ? VectorOp::kCompare : VectorOp::kWordCompare, a.id, b.id,     \
                      static_cast<uint8_t>(kFloat ? of_floats : kOfWords), sizeof(T) == 8); \
  }
LINNET_COMPARE(==, 0, kEq)
LINNET_COMPARE(<, 17, kLt)
LINNET_COMPARE(<=, 18, kLe)
LINNET_COMPARE(!=, 4, kNe)
LINNET_COMPARE(>=, 29, kGe)
LINNET_COMPARE(>, 30, kGt)
#undef LINNET_COMPARE

template <class T>
Recorded<T> select(Flag condition, Recorded<T> yes, Recorded<T> no) {
  return Recorded<T>::of(record(
      {.op = VectorOp::kSelect, .wide = sizeof(T) == 8, .src = {condition.id, yes.id, no.id}}));
}
inline Flag select(Flag condition, Flag yes, Flag no) {
  return (condition & yes) | ((!condition) & no);
}
template <class T>
Recorded<T> smaller(Recorded<T> a, Recorded<T> b) {
  return apply(VectorOp::kMin, a, b);
}
template <class T>
Recorded<T> larger(Recorded<T> a, Recorded<T> b) {
  return apply(VectorOp::kMax, a, b);
}

template <class T>
Bits<Recorded<T>> bits(Recorded<T> x) {
  return Bits<Recorded<T>>::of(x.id);
}
template <class V>
  requires(std::is_class_v<V>)
V from_bits(Bits<V> word) {
  return V::of(word.id);
}
template <int count, class T>
Recorded<T> shift_bits_left(Recorded<T> word) {
  return apply(VectorOp::kShiftLeft, word, count);
}
template <int count, class T>
Recorded<T> shift_bits_right_signed(Recorded<T> word) {
  return apply(VectorOp::kShiftRightSigned, word, count);
}
template <class T>
Recorded<T> select_by_sign(Recorded<T> s, Recorded<T> yes, Recorded<T> no) {
  return select(apply_mask(VectorOp::kSignMask, s.id, -1, 0, sizeof(T) == 8), yes, no);
}

template <class T>
Recorded<T> float_abs(Recorded<T> x) {
  return from_bits<Recorded<T>>(bits(x) & (~Bits<Recorded<T>>(0) >> 1));
}
template <class T>
Recorded<T> copy_sign(Recorded<T> magnitude, Recorded<T> sign) {
  const auto top = bits(Recorded<T>(T(-0.0)));
  return from_bits<Recorded<T>>((bits(magnitude) & ~top) | (bits(sign) & top));
}
template <class T>
Recorded<T> sqrt(Recorded<T> x) {
  return apply(VectorOp::kSqrt, x);
}
template <class T>
Recorded<T> round(Recorded<T> x) {
  return apply(VectorOp::kRound, x, 0);
}
template <class T>
Recorded<T> floor(Recorded<T> x) {
  return apply(VectorOp::kRound, x, 1);
}
template <class T>
Recorded<T> ceil(Recorded<T> x) {
  return apply(VectorOp::kRound, x, 2);
}
template <class T>
Recorded<T> trunc(Recorded<T> x) {
  return apply(VectorOp::kRound, x, 3);
}
template <class T>
Recorded<T> fma(Recorded<T> a, Recorded<T> b, Recorded<T> c) {
  return Recorded<T>::of(
      record({.op = VectorOp::kFma, .wide = sizeof(T) == 8, .src = {a.id, b.id, c.id}}));
}
template <class T>
Recorded<T> mul_add(Recorded<T> a, Recorded<T> b, Recorded<T> c) {
  return fma(a, b, c);
}
/// One instruction where there is one, with the bits of the two factors of the basis.
template <class T>
Recorded<T> scale_by_power(Recorded<T> mantissa, Recorded<T> exponent) {
  if (Recording::current()->has_scale) return apply(VectorOp::kScale, mantissa, exponent);
  return scale_by_power<Recorded<T>>(mantissa, exponent);
}

template <class F, class... V>
Recorded<float> in_double(F function, Recorded<float> x, V... more) {
  const auto half = [](Recorded<float> v, uint8_t which) {
    return Recorded<double>::of(
        record({.op = VectorOp::kWiden, .wide = true, .immediate = which, .src = {v.id, -1, -1}}));
  };
  const Recorded<double> low = function(half(x, 0), half(more, 0)...);
  const Recorded<double> high = function(half(x, 1), half(more, 1)...);
  return Recorded<float>::of(record({.op = VectorOp::kNarrow, .src = {low.id, high.id, -1}}));
}

#define LINNET_LIBRARY_1(name)              \
  template <class T>                        \
  Recorded<T> library_##name(Recorded<T>) { \
    throw NotRecordable{};                  \
  }
#define LINNET_LIBRARY_2(name)                           \
  template <class T>                                     \
  Recorded<T> library_##name(Recorded<T>, Recorded<T>) { \
    throw NotRecordable{};                               \
  }
LINNET_LIBRARY_FUNCTIONS(LINNET_LIBRARY_1, LINNET_LIBRARY_2)
#undef LINNET_LIBRARY_1
#undef LINNET_LIBRARY_2

#include "kernels/scalar/functions_inl.h"
#undef LINNET_SCALAR
}  // namespace recorded
}  // namespace linnet::cpu::codegen
