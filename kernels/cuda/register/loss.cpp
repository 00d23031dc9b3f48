// Cross-entropy with integer labels and its gradient.
#include "core/ops/nn.h"
#include "kernels/axis_split.h"
#include "kernels/cuda/loss/cross_entropy_args.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/register/row_kernels.h"

namespace linnet::cuda {
namespace {

const RowKernel kForward[] = {LINNET_CROSS_ENTROPY_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kBackward[] = {LINNET_CROSS_ENTROPY_BACKWARD_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kBoth[] = {LINNET_CROSS_ENTROPY_BOTH_KERNELS(LINNET_ROW_KERNEL)};

/// Classes along the last axis.
AxisSplit rows_and_classes(const KernelRequest& request) {
  const auto& shape = request.inputs[0].shape;
  return {shape, shape.size() - 1, shape.size()};
}

std::string decline(const KernelRequest& request) {
  const int64_t classes = request.inputs[0].shape.back();
  if (classes == 0) return "no classes";
  if (classes > kMostColumns) return "2^31 classes";
  if (rows_and_classes(request).outer > kMostBlocks) return "2^31 rows";
  for (const OperandView& row : request.inputs.subspan(2)) {
    if (row.dtype != wide_dtype(request.inputs[0].dtype)) return "row values of another type";
  }
  return {};
}

LabelType label_type(const KernelRequest& request) {
  const DType dtype = request.inputs[1].dtype;
  return {static_cast<int>(size_of(dtype)), is_signed_integer(dtype)};
}

std::unique_ptr<Kernel> prepare(const KernelRequest& request, std::string&) {
  const AxisSplit s = rows_and_classes(request);
  const LabelType labels = label_type(request);
  const RowKernel* kernel = row_kernel(kForward, request, s.axis);
  return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
    if (s.outer == 0) return;
    sink.launch(
        kernel->function, kernel->grid(s.outer),
        CrossEntropyArgs{global<const void>(in[0]), global<const void>(in[1]), global<void>(out[0]),
                         global<void>(out[1]), s.outer, static_cast<int>(s.axis), labels});
  });
}

std::unique_ptr<Kernel> prepare_backward(const KernelRequest& request, std::string&) {
  const AxisSplit s = rows_and_classes(request);
  const LabelType labels = label_type(request);
  const RowKernel* kernel = row_kernel(kBackward, request, s.axis);
  return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
    if (s.outer == 0) return;
    sink.launch(
        kernel->function, kernel->grid(s.outer),
        CrossEntropyBackwardArgs{global<const void>(in[0]), global<const void>(in[1]),
                                 global<const void>(in[2]), global<const void>(in[3]),
                                 global<void>(out[0]), s.outer, static_cast<int>(s.axis), labels});
  });
}

std::unique_ptr<Kernel> prepare_both(const KernelRequest& request, std::string&) {
  const AxisSplit s = rows_and_classes(request);
  const LabelType labels = label_type(request);
  const RowKernel* kernel = row_kernel(kBoth, request, s.axis);
  return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
    if (s.outer == 0) return;
    sink.launch(
        kernel->function, kernel->grid(s.outer),
        CrossEntropyBothArgs{global<const void>(in[0]), global<const void>(in[1]),
                             global<const void>(in[2]), global<void>(out[0]), global<void>(out[1]),
                             global<void>(out[2]), s.outer, static_cast<int>(s.axis), labels});
  });
}

/// The gradient may lie where the logits do.
int in_place_both(const KernelRequest&, size_t result) { return result == 2 ? 0 : -1; }

}  // namespace

void register_loss(KernelTable& table) {
  table.add(integer_cross_entropy_primitive(),
            {.name = "rows", .decline = decline, .prepare = prepare, .never_throws = true});
  table.add(integer_cross_entropy_backward_primitive(), {.name = "rows",
                                                         .in_place = true,
                                                         .decline = decline,
                                                         .prepare = prepare_backward,
                                                         .never_throws = true});
  table.add(integer_cross_entropy_and_gradient_primitive(), {.name = "rows",
                                                             .in_place = true,
                                                             .in_place_operand = in_place_both,
                                                             .decline = decline,
                                                             .prepare = prepare_both,
                                                             .never_throws = true});
}

}  // namespace linnet::cuda
