#include "core/ops/scalar_functions.h"
#include "elementwise_support.h"
#include "linnet/kernel.h"
#include "linnet/primitive.h"

namespace linnet::elementwise_table_test {
namespace {

/// Operands of ones with which `primitive` can be typed; empty if it does not take `dtype`.
TensorList accepted_operands(const Primitive& primitive, DType dtype, int arity) {
  TensorList operands(static_cast<size_t>(arity), ones({3}, dtype));
  if (primitive.nondifferentiable & 1u) operands[0] = ones({3}, DType::kBool);
  try {
    primitive.infer(NoParams{}, operands);
  } catch (const DTypeError&) {
    return {};
  }
  return operands;
}

TEST(ElementwiseTable, every_primitive_runs_on_every_dtype_it_accepts) {
  define_all_primitives();
  int checked = 0;
  for (const Primitive* primitive : all_primitives()) {
    if (!primitive->elementwise_typing) continue;
    const std::optional<ScalarOp> op = find_scalar_op(primitive->name);
    const int arity = op ? scalar_op_info(*op).arity : 1;
    EXPECT_FALSE(kernel_table(kCpu).implementations(*primitive).empty()) << primitive->name;
    for (int i = 0; i < kRealDTypeCount; ++i) {
      const TensorList operands = accepted_operands(*primitive, static_cast<DType>(i), arity);
      if (operands.empty()) continue;
      SCOPED_TRACE(primitive->name + " of " + to_string(operands.back().type()));
      EXPECT_NO_THROW({
        const Tensor y = emit_one(*primitive, operands);
        EXPECT_EQ(y.shape(), (Shape{3}));
        EXPECT_EQ(y.dtype() == DType::kBool, primitive->all_boolean_result || i == 0);
      });
      ++checked;
    }
  }
  EXPECT_GT(checked, 300);
}

TEST(ElementwiseTable, every_scalar_function_but_compiler_internals_has_a_primitive) {
  define_all_primitives();
  std::vector<std::string> missing;
  for (const ScalarOpInfo& info : kScalarOpInfos) {
    bool found = false;
    for (const Primitive* primitive : all_primitives()) found |= primitive->name == info.name;
    if (!found) missing.emplace_back(info.name);
  }
  // `clip` keeps the ties of min and max; popcount is there for kernels.
  EXPECT_EQ(missing, (std::vector<std::string>{"clamp", "popcount"}));
}

}  // namespace
}  // namespace linnet::elementwise_table_test
