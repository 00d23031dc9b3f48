// Kernels of elementwise primitives, which are found by name in the list of scalar functions, and
// of conversions, copies and counting.
#include "kernels/cpu/elementwise/elementwise.h"

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "core/ops/arithmetic.h"
#include "core/ops/convert.h"
#include "core/ops/creation.h"
#include "kernels/cpu/complex/elementwise.h"
#include "kernels/cpu/index/strided_copy.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/register/scalar_params.h"

namespace linnet {
namespace {

/// The scalar function of each elementwise primitive, by the primitive's id. Written during
/// registration only.
std::vector<ScalarOp>& scalar_ops() {
  static std::vector<ScalarOp>* ops = new std::vector<ScalarOp>;
  return *ops;
}

void run_elementwise(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const ScalarOp op = scalar_ops()[static_cast<size_t>(request.primitive.id)];
  const ScalarOpInfo& info = scalar_op_info(op);
  std::array<cpu::Operand, 3> operands;
  for (size_t k = 0; k < request.inputs.size(); ++k)
    operands[k] = {in[k], request.inputs[k].strides.data()};
  const double param = info.param_count ? scalar_param(request.params) : 0;
  const OperandView& result = request.outputs[0];
  const DType dtype = request.inputs.back().dtype;
  if (is_complex(dtype)) {
    return cpu::complex_elementwise(op, dtype, param, result.shape,
                                    {operands.data(), request.inputs.size()},
                                    {out[0], result.strides.data()});
  }
  cpu::elementwise(op, dtype, {&param, static_cast<size_t>(info.param_count)}, result.shape,
                   {operands.data(), request.inputs.size()}, {out[0], result.strides.data()});
}

/// An elementwise function of a few dense elements, whose layouts need not be looked at again.
template <size_t kArity>
class OneLoopKernel final : public HostKernel {
 public:
  OneLoopKernel(const cpu::OneLoop& found, double param) : found_(found), param_(param) {}

  void run(const void* const* in, void* const* out, void*) const override {
    cpu::LoopCall call = found_.call;
    for (size_t k = 0; k < kArity; ++k) call.in[k] = in[k];
    call.out = out[0];
    call.params = &param_;
    found_.loop(call);
  }

 private:
  cpu::OneLoop found_;
  double param_;
};

std::unique_ptr<Kernel> bind_elementwise(const KernelRequest& request) {
  const DType dtype = request.inputs.back().dtype;
  if (is_complex(dtype)) return nullptr;
  const ScalarOp op = scalar_ops()[static_cast<size_t>(request.primitive.id)];
  const OperandView& result = request.outputs[0];
  std::array<const int64_t*, 3> strides;
  for (size_t k = 0; k < request.inputs.size(); ++k) strides[k] = request.inputs[k].strides.data();
  const std::optional<cpu::OneLoop> found = cpu::one_loop(
      op, dtype, result.shape, {strides.data(), request.inputs.size()}, result.strides.data());
  if (!found) return nullptr;
  const double param = scalar_op_info(op).param_count ? scalar_param(request.params) : 0;
  switch (request.inputs.size()) {
    case 1:
      return std::make_unique<OneLoopKernel<1>>(*found, param);
    case 2:
      return std::make_unique<OneLoopKernel<2>>(*found, param);
    default:
      return std::make_unique<OneLoopKernel<3>>(*found, param);
  }
}

void run_convert(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView& from = request.inputs[0];
  const OperandView& to = request.outputs[0];
  if (is_complex(from.dtype) || is_complex(to.dtype)) {
    return cpu::complex_cast(from.dtype, to.dtype, to.shape, {in[0], from.strides.data()},
                             {out[0], to.strides.data()});
  }
  cpu::cast(from.dtype, to.dtype, to.shape, {in[0], from.strides.data()},
            {out[0], to.strides.data()});
}

void run_copy(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  if (in[0] == out[0]) return;
  const OperandView& from = request.inputs[0];
  const OperandView& to = request.outputs[0];
  cpu::copy_strided(size_of(from.dtype), to.shape, {in[0], from.strides.data()},
                    {out[0], to.strides.data()});
}

/// Every result is a copy of the operand at its place.
void run_copies(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    if (in[i] == out[i]) continue;
    const OperandView& from = request.inputs[i];
    const OperandView& to = request.outputs[i];
    cpu::copy_strided(size_of(from.dtype), to.shape, {in[i], from.strides.data()},
                      {out[i], to.strides.data()});
  }
}

void run_iota(const KernelRequest& request, const void* const*, void* const* out, void*) {
  const OperandView& result = request.outputs[0];
  cpu::iota(result.dtype, result.shape, request.params.as<IotaParams>().axis, out[0]);
}

}  // namespace

void register_elementwise(KernelTable& table) {
  for (const Primitive* primitive : all_primitives()) {
    if (!primitive->pointwise()) continue;
    const std::optional<ScalarOp> op = find_scalar_op(primitive->name);
    if (!op) continue;
    std::vector<ScalarOp>& ops = scalar_ops();
    if (ops.size() <= static_cast<size_t>(primitive->id))
      ops.resize(static_cast<size_t>(primitive->id) + 1);
    ops[static_cast<size_t>(primitive->id)] = *op;
    table.add(*primitive, {.name = "elementwise",
                           .strided = true,
                           .in_place = true,
                           .run = run_elementwise,
                           .bind = bind_elementwise,
                           .never_throws = true,
                           .complex = cpu::supports_complex(*op)});
  }
  table.add(
      convert_primitive(),
      {.name = "cast", .strided = true, .run = run_convert, .never_throws = true, .complex = true});
  table.add(iota_primitive(), {.name = "count", .run = run_iota, .never_throws = true});
  for (const Primitive* primitive : {&copy_primitive(), &stop_gradient_primitive(),
                                     &checkpoint_name_primitive(), &bitcast_primitive()}) {
    table.add(*primitive, {.name = "copy",
                           .strided = true,
                           .in_place = true,
                           .run = run_copy,
                           .never_throws = true,
                           .complex = true});
  }
  table.add(optimization_barrier_primitive(), {.name = "copies",
                                               .strided = true,
                                               .in_place = true,
                                               .run = run_copies,
                                               .never_throws = true,
                                               .complex = true});
}

}  // namespace linnet
