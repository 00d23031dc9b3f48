// Kernels of the functions of bool and unsigned integers.
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/scalar/library.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise/unsigned_kernels.cpp"
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

#include "kernels/cpu/elementwise/integer_kernels_inl.h"

void unsigned_kernels(ElementwiseTable& table) {
  add_integer_kernels<bool>(table);
  add_integer_kernels<uint8_t>(table);
  add_integer_kernels<uint16_t>(table);
  add_integer_kernels<uint32_t>(table);
  add_integer_kernels<uint64_t>(table);
}

#undef LINNET_SCALAR
}  // namespace linnet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(unsigned_kernels);

void add_unsigned_kernels(ElementwiseTable& table) {
  HWY_DYNAMIC_DISPATCH(unsigned_kernels)(table);
}

}  // namespace linnet::cpu
#endif
