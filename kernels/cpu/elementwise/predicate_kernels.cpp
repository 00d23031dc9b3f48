// Comparisons of all types, classification of floats, and selection.
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/scalar/library.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise/predicate_kernels.cpp"
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
template <class Call, class T, ScalarKind kind>
ElementwiseLoop predicate_kernel() {
  if constexpr (kind == ScalarKind::kComparison) return &plain_loop<Call, 0, bool, T, T>;
  if constexpr (kind == ScalarKind::kPredicate && std::is_floating_point_v<T>) {
    return &plain_loop<Call, 0, bool, T>;
  }
  return nullptr;
}

template <class T>
void add_predicates(ElementwiseTable& table) {
#define LINNET_ADD(id, name, function, arity, params, kind, cost)                   \
  if (ElementwiseLoop kernel = predicate_kernel<Call##id, T, ScalarKind::kind>()) { \
    table.set(ScalarOp::id, dtype_of<T>(), kernel);                                 \
  }
  LINNET_SCALAR_FUNCTIONS(LINNET_ADD)
#undef LINNET_ADD
}

/// Selection looks at the size of the elements only.
template <class T>
ElementwiseLoop selection() {
  return &plain_loop<CallkSelect, 0, T, bool, T, T>;
}

void predicate_kernels(ElementwiseTable& table) {
  add_predicates<bool>(table);
  add_predicates<int8_t>(table);
  add_predicates<int16_t>(table);
  add_predicates<int32_t>(table);
  add_predicates<int64_t>(table);
  add_predicates<uint8_t>(table);
  add_predicates<uint16_t>(table);
  add_predicates<uint32_t>(table);
  add_predicates<uint64_t>(table);
  add_predicates<float>(table);
  add_predicates<double>(table);
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const size_t size = size_of(dtype);
    table.set(ScalarOp::kSelect, dtype,
              size == 1   ? selection<uint8_t>()
              : size == 2 ? selection<uint16_t>()
              : size == 4 ? selection<uint32_t>()
                          : selection<uint64_t>());
  }
  table.select_f32 = selection<uint32_t>();
}

#undef LINNET_SCALAR
}  // namespace linnet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(predicate_kernels);

void add_predicate_kernels(ElementwiseTable& table) {
  HWY_DYNAMIC_DISPATCH(predicate_kernels)(table);
}

}  // namespace linnet::cpu
#endif
