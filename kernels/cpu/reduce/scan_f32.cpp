#include "kernels/cpu/reduce/scan_f32.h"

#include <algorithm>

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/reduce/scan_f32.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The one order: eight elements are summed among themselves, in pairs, then fours, then both fours,
// and added to the sum of the groups before. From group to group one addition waits for another, so
// that its latency is paid once in eight elements. -0.0 is what changes no number when added.
constexpr int64_t kGroup = 8;

/// The sums within a group, in its order.
struct GroupByNumber {
  double sums[kGroup];

  template <bool kReverse>
  static GroupByNumber of(const float* p) {
    GroupByNumber g;
    for (int64_t half = 0; half < kGroup; half += 4) {
      double x[4];
      for (int64_t i = 0; i < 4; ++i)
        x[i] = static_cast<double>(p[kReverse ? kGroup - 1 - half - i : half + i]);
      double* const y = g.sums + half;
      y[0] = x[0];
      y[1] = x[1] + x[0];
      y[2] = x[2] + y[1];
      y[3] = (x[3] + x[2]) + y[1];
    }
    for (int64_t i = 4; i < kGroup; ++i) g.sums[i] += g.sums[3];
    return g;
  }
  double total() const { return sums[kGroup - 1]; }
  template <bool kReverse>
  void store(double before, float* p) const {
    for (int64_t i = 0; i < kGroup; ++i)
      p[kReverse ? kGroup - 1 - i : i] = static_cast<float>(before + sums[i]);
  }
};

#if HWY_TARGET <= HWY_AVX2  // or better: AVX-512
/// The same with vectors of four.
class GroupByVector {
 public:
  template <bool kReverse>
  static GroupByVector of(const float* p) {
    const auto first = prefixes(load<kReverse>(kReverse ? p + 4 : p));
    const auto second = prefixes(load<kReverse>(kReverse ? p : p + 4));
    return {first, hn::Add(second, last(first))};
  }
  /// In all lanes.
  auto total() const { return last(second_); }
  template <bool kReverse>
  void store(hn::Vec<hn::FixedTag<double, 4>> before, float* p) const {
    put<kReverse>(hn::Add(before, first_), kReverse ? p + 4 : p);
    put<kReverse>(hn::Add(before, second_), kReverse ? p : p + 4);
  }

 private:
  using D = hn::FixedTag<double, 4>;
  using V = hn::Vec<D>;
  using Narrow = hn::Rebind<float, D>;

  GroupByVector(V first, V second) : first_(first), second_(second) {}

  template <bool kReverse>
  static HWY_INLINE V load(const float* p) {
    auto x = hn::LoadU(Narrow(), p);
    if constexpr (kReverse) x = hn::Reverse(Narrow(), x);
    return hn::PromoteTo(D(), x);
  }
  template <bool kReverse>
  static HWY_INLINE void put(V sums, float* p) {
    auto x = hn::DemoteTo(Narrow(), sums);
    if constexpr (kReverse) x = hn::Reverse(Narrow(), x);
    hn::StoreU(x, Narrow(), p);
  }
  static HWY_INLINE V prefixes(V x) {
    alignas(32) static constexpr double kEven[4] = {-0.0, 0.0, -0.0, 0.0};
    const V pairs = hn::Add(x, hn::Or(hn::ShiftLeftLanes<1>(D(), x), hn::Load(D(), kEven)));
    const V none = hn::Set(D(), -0.0);
    return hn::Add(pairs, hn::ConcatLowerLower(D(), hn::DupOdd(pairs), none));
  }
  static HWY_INLINE V last(V x) {
    alignas(32) static constexpr int64_t kLast[4] = {3, 3, 3, 3};
    return hn::TableLookupLanes(x, hn::SetTableIndices(D(), kLast));
  }

  V first_, second_;
};
using Group = GroupByVector;
using Sum = hn::Vec<hn::FixedTag<double, 4>>;
HWY_INLINE Sum sum_of(double x) { return hn::Set(hn::FixedTag<double, 4>(), x); }
HWY_INLINE Sum add(Sum a, Sum b) { return hn::Add(a, b); }
HWY_INLINE double number_of(Sum x) { return hn::GetLane(x); }
#else
using Group = GroupByNumber;
using Sum = double;
HWY_INLINE Sum sum_of(double x) { return x; }
HWY_INLINE Sum add(Sum a, Sum b) { return a + b; }
HWY_INLINE double number_of(Sum x) { return x; }
#endif

template <bool kReverse, bool kStore>
HWY_INLINE double walk(const float* data, int64_t count, double before, float* out) {
  const Sum start = sum_of(before);
  Sum sum = sum_of(-0.0);
  int64_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    const int64_t at = kReverse ? count - i - kGroup : i;
    const Group group = Group::template of<kReverse>(data + at);
    if constexpr (kStore) group.template store<kReverse>(add(start, sum), out + at);
    sum = add(sum, group.total());
  }
  if (i == count) return number_of(sum);
  const int64_t rest = count - i, at = kReverse ? 0 : i, pad = kReverse ? kGroup - rest : 0;
  float part[kGroup];
  std::fill_n(part, kGroup, -0.0f);
  std::copy_n(data + at, rest, part + pad);
  const Group group = Group::template of<kReverse>(part);
  if constexpr (kStore) {
    group.template store<kReverse>(add(start, sum), part);
    std::copy_n(part + pad, rest, out + at);
  }
  return number_of(add(sum, group.total()));
}

double CumulativeSum(const float* data, int64_t count, bool reverse, double before, float* out) {
  return reverse ? walk<true, true>(data, count, before, out)
                 : walk<false, true>(data, count, before, out);
}
double CumulativeTotal(const float* data, int64_t count, bool reverse) {
  return reverse ? walk<true, false>(data, count, -0.0, nullptr)
                 : walk<false, false>(data, count, -0.0, nullptr);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(CumulativeSum);
HWY_EXPORT(CumulativeTotal);

double cumulative_sum_f32(const float* data, int64_t count, bool reverse, double before,
                          float* out) {
  return HWY_DYNAMIC_DISPATCH(CumulativeSum)(data, count, reverse, before, out);
}
double cumulative_total_f32(const float* data, int64_t count, bool reverse) {
  return HWY_DYNAMIC_DISPATCH(CumulativeTotal)(data, count, reverse);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
