#include "kernels/cpu/random/threefry_vector.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/random/threefry_vector.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<uint32_t>;
using V = hn::Vec<D>;
constexpr size_t kMaxLanes = hn::MaxLanes(D());

struct Schedule {
  uint32_t k0, k1, k2;
  explicit Schedule(Key key) : k0(key[0]), k1(key[1]), k2(key[0] ^ key[1] ^ 0x1BD11BDAu) {}
};

// The state of one vector of blocks.
struct State {
  V x0, x1;
};

template <int kLeft>
HWY_INLINE void round_once(State& s) {
  s.x0 = hn::Add(s.x0, s.x1);
  s.x1 = hn::Xor(hn::RotateRight<32 - kLeft>(s.x1), s.x0);
}

// A block is one long chain of dependent steps; taking several through it together keeps the units
// busy.
template <int kLeft, class... States>
HWY_INLINE void round_all(States&... states) {
  (round_once<kLeft>(states), ...);
}

template <class... States>
HWY_INLINE void even_rounds(States&... states) {
  round_all<13>(states...);
  round_all<15>(states...);
  round_all<26>(states...);
  round_all<6>(states...);
}

template <class... States>
HWY_INLINE void odd_rounds(States&... states) {
  round_all<17>(states...);
  round_all<29>(states...);
  round_all<16>(states...);
  round_all<24>(states...);
}

template <class... States>
HWY_INLINE void inject(uint32_t a, uint32_t b, States&... states) {
  const D d;
  const V first = hn::Set(d, a), second = hn::Set(d, b);
  ((states.x0 = hn::Add(states.x0, first), states.x1 = hn::Add(states.x1, second)), ...);
}

template <class... States>
HWY_INLINE void block(const Schedule& s, States&... states) {
  inject(s.k0, s.k1, states...);
  even_rounds(states...);
  inject(s.k1, s.k2 + 1, states...);
  odd_rounds(states...);
  inject(s.k2, s.k0 + 2, states...);
  even_rounds(states...);
  inject(s.k0, s.k1 + 3, states...);
  odd_rounds(states...);
  inject(s.k1, s.k2 + 4, states...);
  even_rounds(states...);
  inject(s.k2, s.k0 + 5, states...);
}

// Calls full(i, x0, x1) for whole vectors of results and part(i, n, x0, x1) for the end of each run
// of counters that share their high word.
template <class Full, class Part>
HWY_INLINE void for_counters(Key key, uint64_t begin, int64_t count, Full&& full, Part&& part) {
  const D d;
  const Schedule schedule(key);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  while (i < count) {
    const uint64_t at = begin + static_cast<uint64_t>(i);
    const uint64_t to_carry = (uint64_t(1) << 32) - (at & 0xFFFFFFFFu);
    const int64_t end =
        i + static_cast<int64_t>(std::min<uint64_t>(to_carry, static_cast<uint64_t>(count - i)));
    const V high = hn::Set(d, static_cast<uint32_t>(at >> 32));
    const auto start = [=](int64_t index) HWY_ATTR {
      return State{high, hn::Iota(d, static_cast<uint32_t>(begin + static_cast<uint64_t>(index)))};
    };
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      State a = start(i), b = start(i + lanes), c = start(i + 2 * lanes), e = start(i + 3 * lanes);
      block(schedule, a, b, c, e);
      full(i, a.x0, a.x1);
      full(i + lanes, b.x0, b.x1);
      full(i + 2 * lanes, c.x0, c.x1);
      full(i + 3 * lanes, e.x0, e.x1);
    }
    for (; i < end; i += lanes) {
      State a = start(i);
      block(schedule, a);
      if (i + lanes <= end)
        full(i, a.x0, a.x1);
      else
        part(i, end - i, a.x0, a.x1);
    }
    i = end;
  }
}

void ThreefryXor(Key key, uint64_t begin, int64_t count, uint32_t* HWY_RESTRICT out) {
  const D d;
  for_counters(
      key, begin, count,
      [&](int64_t i, V x0, V x1) HWY_ATTR { hn::StoreU(hn::Xor(x0, x1), d, out + i); },
      [&](int64_t i, int64_t n, V x0, V x1) HWY_ATTR {
        HWY_ALIGN uint32_t buffer[kMaxLanes];
        hn::Store(hn::Xor(x0, x1), d, buffer);
        std::memcpy(out + i, buffer, static_cast<size_t>(n) * 4);
      });
}

// Interleaves the words of each block in memory, `first` leading.
template <bool kSwap>
HWY_INLINE void interleaved(Key key, uint64_t begin, int64_t count, uint32_t* HWY_RESTRICT out) {
  const D d;
  for_counters(
      key, begin, count,
      [&](int64_t i, V x0, V x1)
          HWY_ATTR { hn::StoreInterleaved2(kSwap ? x1 : x0, kSwap ? x0 : x1, d, out + 2 * i); },
      [&](int64_t i, int64_t n, V x0, V x1) HWY_ATTR {
        HWY_ALIGN uint32_t buffer[2 * kMaxLanes];
        hn::StoreInterleaved2(kSwap ? x1 : x0, kSwap ? x0 : x1, d, buffer);
        std::memcpy(out + 2 * i, buffer, static_cast<size_t>(n) * 8);
      });
}

void ThreefryPairs(Key key, uint64_t begin, int64_t count, uint32_t* out) {
  interleaved<false>(key, begin, count, out);
}

// Little-endian: the low word of a 64-bit number comes first.
void ThreefryWide(Key key, uint64_t begin, int64_t count, uint32_t* out) {
  interleaved<true>(key, begin, count, out);
}

void ThreefryHalves(Key key, uint32_t begin, int64_t count, uint32_t half, uint32_t padded,
                    uint32_t* HWY_RESTRICT first, uint32_t* HWY_RESTRICT second) {
  const D d;
  const Schedule schedule(key);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN uint32_t buffer[kMaxLanes];
  for (int64_t i = 0; i < count; i += lanes) {
    const V counter = hn::Iota(d, begin + static_cast<uint32_t>(i));
    const V partner = hn::Add(counter, hn::Set(d, half));
    State s{counter, hn::IfThenZeroElse(hn::Eq(partner, hn::Set(d, padded)), partner)};
    block(schedule, s);
    const size_t bytes = static_cast<size_t>(std::min(lanes, count - i)) * 4;
    hn::Store(s.x0, d, buffer);
    std::memcpy(first + i, buffer, bytes);
    hn::Store(s.x1, d, buffer);
    std::memcpy(second + i, buffer, bytes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(ThreefryXor);
HWY_EXPORT(ThreefryPairs);
HWY_EXPORT(ThreefryWide);
HWY_EXPORT(ThreefryHalves);

void threefry_xor(Key key, uint64_t begin, int64_t count, uint32_t* out) {
  HWY_DYNAMIC_DISPATCH(ThreefryXor)(key, begin, count, out);
}
void threefry_pairs(Key key, uint64_t begin, int64_t count, uint32_t* out) {
  HWY_DYNAMIC_DISPATCH(ThreefryPairs)(key, begin, count, out);
}
void threefry_wide(Key key, uint64_t begin, int64_t count, uint64_t* out) {
  HWY_DYNAMIC_DISPATCH(ThreefryWide)(key, begin, count, reinterpret_cast<uint32_t*>(out));
}
void threefry_halves(Key key, uint32_t begin, int64_t count, uint32_t half, uint32_t padded,
                     uint32_t* first, uint32_t* second) {
  HWY_DYNAMIC_DISPATCH(ThreefryHalves)(key, begin, count, half, padded, first, second);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
