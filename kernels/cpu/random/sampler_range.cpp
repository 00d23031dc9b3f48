#include "kernels/cpu/random/sampler_range.h"

#include "kernels/cpu/norm/real_rows.h"
#include "kernels/scalar/host.h"

namespace linnet::cpu {
namespace {

// The neighbour of `value` towards +infinity (up) or -infinity.
template <class T>
T next(T value, bool up) {
  using Word = std::conditional_t<sizeof(T) == 2, uint16_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
  Word word = std::bit_cast<Word>(value);
  constexpr Word kSign = Word(Word(1) << (sizeof(T) * 8 - 1));
  if ((word & Word(~kSign)) == 0) return std::bit_cast<T>(Word(up ? 1 : kSign | 1));
  const bool negative = (word & kSign) != 0;
  word = Word(negative == up ? word - 1 : word + 1);
  return std::bit_cast<T>(word);
}

template <class T>
SamplerRange range_of(T low, T high) {
  const T span = narrow<T>(widen(high) - widen(low));
  return {static_cast<double>(widen(low)), static_cast<double>(widen(span))};
}

template <class T>
T erf_of_scaled(T bound) {
  if constexpr (std::is_same_v<T, double>)
    return scalar::erf(bound / std::sqrt(2.0));
  else
    return narrow<T>(
        scalar::erf(widen(narrow<T>(widen(bound) / widen(round_once<T>(std::sqrt(2.0)))))));
}

template <class T>
SamplerRange normal_range_of() {
  SamplerRange range = range_of(next(narrow<T>(-1.0f), true), narrow<T>(1.0f));
  range.most = std::numeric_limits<double>::infinity();
  range.least = -range.most;
  return range;
}

template <class T>
SamplerRange truncated_range_of(double lower, double upper) {
  const T low = round_once<T>(lower), high = round_once<T>(upper);
  SamplerRange range = range_of(erf_of_scaled(low), erf_of_scaled(high));
  range.least = static_cast<double>(widen(next(low, true)));
  range.most = static_cast<double>(widen(next(high, false)));
  return range;
}

}  // namespace

SamplerRange uniform_range(DType dtype, double low, double high) {
  SamplerRange range;
  visit_real("random_uniform", dtype, [&](auto zero) {
    using T = decltype(zero);
    range = range_of(round_once<T>(low), round_once<T>(high));
  });
  return range;
}

SamplerRange normal_range(DType dtype) {
  SamplerRange range;
  visit_real("random_normal", dtype, [&](auto zero) { range = normal_range_of<decltype(zero)>(); });
  return range;
}

SamplerRange truncated_normal_range(DType dtype, double lower, double upper) {
  SamplerRange range;
  visit_real("random_truncated_normal", dtype,
             [&](auto zero) { range = truncated_range_of<decltype(zero)>(lower, upper); });
  return range;
}

}  // namespace linnet::cpu
