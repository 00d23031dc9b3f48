// Kernels of elementwise primitives, conversions, copies and counting.
#include "kernels/cuda/elementwise/pointwise.h"

#include "core/ops/arithmetic.h"
#include "core/ops/convert.h"
#include "core/ops/creation.h"
#include "kernels/cpu/register/scalar_params.h"
#include "kernels/cuda/copy/copy.h"
#include "kernels/cuda/elementwise/iota_args.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {
namespace {

std::unique_ptr<Kernel> prepare_elementwise(const KernelRequest& request, std::string& reason) {
  const std::optional<ScalarOp> op = find_scalar_op(request.primitive.name);
  return make_pointwise(*op, scalar_param(request.params), request, reason);
}

/// Every result is a copy of the operand at its place.
std::unique_ptr<Kernel> prepare_copies(const KernelRequest& request, std::string& reason) {
  std::vector<CopyPlan> plans;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const OperandView &x = request.inputs[i], &y = request.outputs[i];
    plans.emplace_back(size_of(x.dtype), x.shape, CopySide{x.strides, 0, x.alignment},
                       CopySide{y.strides, 0, y.alignment});
    if (plans.back().reason().empty()) continue;
    reason = plans.back().reason();
    return nullptr;
  }
  return make_device_kernel(
      [plans = std::move(plans)](LaunchSink& sink, Operands in, Operands out, Address) {
        for (size_t i = 0; i < plans.size(); ++i) {
          if (in[i].word != out[i].word) plans[i].emit(sink, in[i], out[i]);
        }
      });
}

std::unique_ptr<Kernel> prepare_convert(const KernelRequest& request, std::string& reason) {
  if (request.inputs[0].dtype == request.outputs[0].dtype) return prepare_copies(request, reason);
  return make_cast(request, reason);
}

std::unique_ptr<Kernel> prepare_iota(const KernelRequest& request, std::string&) {
  static const Function function("iota", kPointwiseThreads);
  const OperandView& y = request.outputs[0];
  const auto axis = static_cast<size_t>(request.params.as<IotaParams>().axis);
  IotaArgs args;
  args.count = element_count(y.shape);
  args.storage = static_cast<int>(y.dtype);
  if (args.count != 0) {
    args.size = y.shape[axis];
    args.inner = element_count(y.shape.subspan(axis + 1));
  }
  return make_device_kernel([args](LaunchSink& sink, Operands, Operands out, Address) mutable {
    args.y = global<char>(out[0]);
    sink.launch(function, {blocks_for(args.count, kPointwiseThreads)}, args);
  });
}

}  // namespace

void register_elementwise(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, const char* name, auto prepare, bool strided,
                       bool in_place) {
    table.add(primitive, {.name = name,
                          .strided = strided,
                          .in_place = in_place,
                          .prepare = prepare,
                          .never_throws = true});
  };
  for (const Primitive* primitive : all_primitives()) {
    if (primitive->pointwise() && find_scalar_op(primitive->name))
      add(*primitive, "elementwise", prepare_elementwise, true, true);
  }
  add(convert_primitive(), "cast", prepare_convert, true, false);
  add(iota_primitive(), "count", prepare_iota, false, false);
  for (const Primitive* primitive :
       {&copy_primitive(), &stop_gradient_primitive(), &checkpoint_name_primitive(),
        &bitcast_primitive(), &optimization_barrier_primitive()})
    add(*primitive, "copy", prepare_copies, true, true);
}

}  // namespace linnet::cuda
