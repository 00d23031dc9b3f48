// The 16-bit floats: conversions, rounding, and the one function that depends on their spacing.
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/scalar/library.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise/half_kernels.cpp"
#include "kernels/cpu/vector/targets.h"

#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::HWY_NAMESPACE {
#define LINNET_SCALAR HWY_INLINE
#include "kernels/scalar/plain_inl.h"

#include "kernels/cpu/vector/number_inl.h"

#include "kernels/scalar/functions_inl.h"

#include "kernels/cpu/elementwise/loops_inl.h"

#include "kernels/scalar/convert_inl.h"

#include "kernels/scalar/half_inl.h"

struct Bfloat16Words {
  static LINNET_SCALAR uint16_t narrow(float x) {
    const uint32_t word = bits(x);
    const uint32_t rounded = (word + 0x7FFFu + ((word >> 16) & 1u)) >> 16;
    const uint32_t quiet = (word >> 16) | 0x40u;
    return static_cast<uint16_t>((word & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
  }
  static LINNET_SCALAR float widen(uint16_t word) {
    return from_bits<float>(static_cast<uint32_t>(word) << 16);
  }
};

struct Float16Words {
  static LINNET_SCALAR uint16_t narrow(float x) { return __builtin_bit_cast(uint16_t, float16(x)); }
  static LINNET_SCALAR float widen(uint16_t word) {
    return static_cast<float>(__builtin_bit_cast(float16, word));
  }
};

template <class Words>
struct Narrow {
  static LINNET_SCALAR uint16_t call(float x) { return Words::narrow(x); }
};
template <class Words>
struct Widen {
  static LINNET_SCALAR float call(uint16_t word) { return Words::widen(word); }
};
template <class Words>
struct Round {
  static LINNET_SCALAR float call(float x) { return Words::widen(Words::narrow(x)); }
};
struct CopyWord {
  static LINNET_SCALAR uint16_t call(uint16_t word) { return word; }
};

template <class Words>
struct Nextafter {
  static LINNET_SCALAR float call(float a, float b) { return nextafter_of_words<Words>(a, b); }
};

#if HWY_TARGET != HWY_SCALAR
// The conversion instructions of f16, on whole vectors; the rest goes through a padded one.
template <class In, class Out, class F>
LINNET_SCALAR void vector_loop(const In* from, Out* to, size_t count, F function) {
  const size_t lanes = lane_count<float>();
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) function(from + i, to + i);
  if (i == count) return;
  alignas(64) In padded[16] = {};
  alignas(64) Out result[16];
  for (size_t k = i; k < count; ++k) padded[k - i] = from[k];
  function(padded, result);
  for (size_t k = i; k < count; ++k) to[k] = result[k - i];
}

using FloatTag = hn::ScalableTag<float>;
using HalfTag = hn::Rebind<hwy::float16_t, FloatTag>;

LINNET_SCALAR hn::Vec<FloatTag> load_half(const uint16_t* from) {
  return hn::PromoteTo(FloatTag(),
                       hn::LoadU(HalfTag(), reinterpret_cast<const hwy::float16_t*>(from)));
}
LINNET_SCALAR hn::Vec<HalfTag> narrow_half(const float* from) {
  return hn::DemoteTo(HalfTag(), hn::LoadU(FloatTag(), from));
}
struct WidenVector {
  LINNET_SCALAR void operator()(const uint16_t* from, float* to) const {
    hn::StoreU(load_half(from), FloatTag(), to);
  }
};
struct NarrowVector {
  LINNET_SCALAR void operator()(const float* from, uint16_t* to) const {
    hn::StoreU(narrow_half(from), HalfTag(), reinterpret_cast<hwy::float16_t*>(to));
  }
};
struct RoundVector {
  LINNET_SCALAR void operator()(const float* from, float* to) const {
    hn::StoreU(hn::PromoteTo(FloatTag(), narrow_half(from)), FloatTag(), to);
  }
};

template <class F, class In, class Out>
void float16_loop(const LoopCall& args) {
  const In* from = static_cast<const In*>(args.in[0]);
  Out* to = static_cast<Out*>(args.out);
  const size_t count = static_cast<size_t>(args.count);
  if (!args.repeat[0]) return vector_loop(from, to, count, F{});
  Out value;
  vector_loop(from, &value, 1, F{});
  for (size_t i = 0; i < count; ++i) to[i] = value;
}
inline constexpr ElementwiseLoop kWidenFloat16 = &float16_loop<WidenVector, uint16_t, float>;
inline constexpr ElementwiseLoop kNarrowFloat16 = &float16_loop<NarrowVector, float, uint16_t>;
inline constexpr ElementwiseLoop kRoundFloat16 = &float16_loop<RoundVector, float, float>;
#else
inline constexpr ElementwiseLoop kWidenFloat16 =
    &plain_loop<Widen<Float16Words>, 0, float, uint16_t>;
inline constexpr ElementwiseLoop kNarrowFloat16 =
    &plain_loop<Narrow<Float16Words>, 0, uint16_t, float>;
inline constexpr ElementwiseLoop kRoundFloat16 = &plain_loop<Round<Float16Words>, 0, float, float>;
#endif

inline constexpr ElementwiseLoop kWidenBfloat16 =
    &plain_loop<Widen<Bfloat16Words>, 0, float, uint16_t>;
inline constexpr ElementwiseLoop kNarrowBfloat16 =
    &plain_loop<Narrow<Bfloat16Words>, 0, uint16_t, float>;
inline constexpr ElementwiseLoop kRoundBfloat16 =
    &plain_loop<Round<Bfloat16Words>, 0, float, float>;

template <class To>
struct ToOther {
  static LINNET_SCALAR To call(float x) { return convert<To>(x); }
};
struct ToHalf {
  template <class From>
  static LINNET_SCALAR float call(From x) {
    return convert_for_half(x);
  }
};

/// Two conversions with f32 in between, a block at a time.
template <ElementwiseLoop first, ElementwiseLoop second, class In, class Out>
void two_steps(const LoopCall& args) {
  constexpr int64_t kBlock = 512;
  alignas(64) float middle[kBlock];
  for (int64_t i = 0; i < args.count; i += kBlock) {
    const int64_t left = args.count - i;
    LoopCall call = args;
    call.count = left < kBlock ? left : kBlock;
    call.in[0] = static_cast<const In*>(args.in[0]) + (args.repeat[0] ? 0 : i);
    call.out = middle;
    first(call);
    call.in[0] = middle;
    call.repeat[0] = false;
    call.out = static_cast<Out*>(args.out) + i;
    second(call);
  }
}

template <ElementwiseLoop widen, ElementwiseLoop narrow, class... T>
void add_half_casts(ElementwiseTable& table, DType half) {
  const int h = static_cast<int>(half);
  ((table.cast[h][static_cast<int>(dtype_of<T>())] =
        &two_steps<widen, &plain_loop<ToOther<T>, 0, T, float>, uint16_t, T>),
   ...);
  ((table.cast[static_cast<int>(dtype_of<T>())][h] =
        &two_steps<&plain_loop<ToHalf, 0, float, T>, narrow, T, uint16_t>),
   ...);
  table.cast[h][static_cast<int>(DType::kF32)] = widen;
  table.cast[static_cast<int>(DType::kF32)][h] = narrow;
  table.cast[h][h] = &plain_loop<CopyWord, 0, uint16_t, uint16_t>;
}

template <ElementwiseLoop widen, ElementwiseLoop narrow>
void add_all_half_casts(ElementwiseTable& table, DType half) {
  add_half_casts<widen, narrow, bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                 uint32_t, uint64_t, double>(table, half);
}

void half_kernels(ElementwiseTable& table) {
  constexpr int kF16 = static_cast<int>(DType::kF16);
  constexpr int kBF16 = static_cast<int>(DType::kBF16);
  add_all_half_casts<kWidenFloat16, kNarrowFloat16>(table, DType::kF16);
  add_all_half_casts<kWidenBfloat16, kNarrowBfloat16>(table, DType::kBF16);
  table.cast[kF16][kBF16] = &two_steps<kWidenFloat16, kNarrowBfloat16, uint16_t, uint16_t>;
  table.cast[kBF16][kF16] = &two_steps<kWidenBfloat16, kNarrowFloat16, uint16_t, uint16_t>;
  table.round[kF16] = kRoundFloat16;
  table.round[kBF16] = kRoundBfloat16;
  table.set(ScalarOp::kNextafter, DType::kF16,
            &plain_loop<Nextafter<Float16Words>, 0, float, float, float>);
  table.set(ScalarOp::kNextafter, DType::kBF16,
            &plain_loop<Nextafter<Bfloat16Words>, 0, float, float, float>);
}

#undef LINNET_SCALAR
}  // namespace linnet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(half_kernels);

void add_half_kernels(ElementwiseTable& table) { HWY_DYNAMIC_DISPATCH(half_kernels)(table); }

}  // namespace linnet::cpu
#endif
