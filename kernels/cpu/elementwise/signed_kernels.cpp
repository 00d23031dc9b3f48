// Kernels of the functions of signed integers.
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/scalar/library.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise/signed_kernels.cpp"
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

void signed_kernels(ElementwiseTable& table) {
  add_integer_kernels<int8_t>(table);
  add_integer_kernels<int16_t>(table);
  add_integer_kernels<int32_t>(table);
  add_integer_kernels<int64_t>(table);
}

#undef LINNET_SCALAR
}  // namespace linnet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(signed_kernels);

void add_signed_kernels(ElementwiseTable& table) { HWY_DYNAMIC_DISPATCH(signed_kernels)(table); }

}  // namespace linnet::cpu
#endif
