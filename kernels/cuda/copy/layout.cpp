#include "kernels/cuda/copy/layout.h"

#include <bit>

namespace linnet::cuda {

Divisor divisor_of(int64_t value) {
  Divisor divisor;
  divisor.value = static_cast<unsigned>(value);
  while ((int64_t{1} << divisor.shift) < value) ++divisor.shift;
  const uint64_t excess = (uint64_t{1} << divisor.shift) - static_cast<uint64_t>(value);
  divisor.multiplier = static_cast<unsigned>((excess << 32) / static_cast<uint64_t>(value) + 1);
  return divisor;
}

size_t common_alignment(std::initializer_list<int64_t> numbers) {
  uint64_t bits = 16;
  for (const int64_t number : numbers) bits |= static_cast<uint64_t>(number);
  return size_t{1} << std::countr_zero(bits);
}

}  // namespace linnet::cuda
