#include "kernels/cpu/elementwise/loop_table.h"

#include "hwy/targets.h"

namespace linnet::cpu {
namespace {

ElementwiseTable make_table() {
  ElementwiseTable table;
  add_float32_kernels(table);
  add_float64_kernels(table);
  add_signed_kernels(table);
  add_unsigned_kernels(table);
  add_predicate_kernels(table);
  add_cast_kernels(table);
  for (int i = 0; i < kScalarOpCount; ++i) {
    const auto op = static_cast<ScalarOp>(i);
    if (op == ScalarOp::kSelect) continue;
    table.set(op, DType::kF16, table.get(op, DType::kF32));
    table.set(op, DType::kBF16, table.get(op, DType::kF32));
  }
  add_half_kernels(table);
  return table;
}

}  // namespace

const ElementwiseTable& elementwise_table() {
  static const ElementwiseTable table = make_table();
  return table;
}

ElementwiseTable make_elementwise_table(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  const ElementwiseTable table = make_table();
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return table;
}

}  // namespace linnet::cpu
