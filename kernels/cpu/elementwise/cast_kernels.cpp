// Conversions between all types but the 16-bit floats, which half_kernels.cpp adds.
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/scalar/library.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise/cast_kernels.cpp"
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

template <class To>
struct Convert {
  template <class From>
  static LINNET_SCALAR To call(From x) {
    return convert<To>(x);
  }
};

template <class From, class... To>
void add_casts_from(ElementwiseTable& table) {
  ((table.cast[static_cast<int>(dtype_of<From>())][static_cast<int>(dtype_of<To>())] =
        &plain_loop<Convert<To>, 0, To, From>),
   ...);
}

template <class... T>
void add_casts(ElementwiseTable& table) {
  (add_casts_from<T, T...>(table), ...);
}

void cast_kernels(ElementwiseTable& table) {
  add_casts<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, float,
            double>(table);
}

#undef LINNET_SCALAR
}  // namespace linnet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(cast_kernels);

void add_cast_kernels(ElementwiseTable& table) { HWY_DYNAMIC_DISPATCH(cast_kernels)(table); }

}  // namespace linnet::cpu
#endif
