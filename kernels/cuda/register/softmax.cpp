// Softmax, log-softmax, log-sum-exp and their gradients.
#include "kernels/cuda/softmax/softmax_args.h"

#include "core/ops/nn.h"
#include "kernels/axis_split.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/register/row_kernels.h"

namespace linnet::cuda {
namespace {

const RowKernel kSoftmax[] = {LINNET_SOFTMAX_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kSoftmaxBackward[] = {LINNET_SOFTMAX_BACKWARD_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kLogSumExp[] = {LINNET_LOGSUMEXP_KERNELS(LINNET_ROW_KERNEL)};

// A block of a kernel over columns takes 32 of them.
constexpr int kTile = 32, kTileThreads = 256;
struct ColumnKernel {
  Function function;
  DType dtype;
};
#define X(name, dtype, T) {Function(#name, kTileThreads), DType::dtype},
const ColumnKernel kSoftmaxColumns[] = {LINNET_SOFTMAX_COLUMNS_KERNELS(X)};
const ColumnKernel kSoftmaxColumnsBackward[] = {LINNET_SOFTMAX_COLUMNS_BACKWARD_KERNELS(X)};
const ColumnKernel kLogSumExpColumns[] = {LINNET_LOGSUMEXP_COLUMNS_KERNELS(X)};
#undef X

const Function& function_for(std::span<const ColumnKernel> kernels, DType dtype) {
  const ColumnKernel* kernel = kernels.data();
  while (kernel->dtype != dtype) ++kernel;
  return kernel->function;
}

/// Blocks for the columns of all matrices; rows are columns by themselves.
int64_t column_tiles(const AxisSplit& s) { return s.outer * ((s.inner + kTile - 1) / kTile); }

std::string decline_axis(const KernelRequest& request, const AxisSplit& s) {
  if (s.axis > kMostColumns) return "an axis of 2^31 elements";
  if (column_tiles(s) > kMostBlocks) return "2^31 rows";
  for (const OperandView& x : request.inputs) {
    if (x.dtype != request.inputs[0].dtype) return "operands of different types";
  }
  return {};
}

AxisSplit axis_of(const KernelRequest& request) {
  const auto axis = static_cast<size_t>(request.params.as<AxisParams>().axis);
  return {request.inputs[0].shape, axis, axis + 1};
}

std::string decline_softmax(const KernelRequest& request) {
  return decline_axis(request, axis_of(request));
}

std::unique_ptr<Kernel> nothing() {
  return make_device_kernel([](LaunchSink&, Operands, Operands, Address) {});
}

Extent column_blocks(const AxisSplit& s) { return {static_cast<uint32_t>(column_tiles(s))}; }

template <bool kLogarithm>
std::unique_ptr<Kernel> prepare_softmax(const KernelRequest& request, std::string&) {
  const AxisSplit s = axis_of(request);
  if (s.outer * s.axis * s.inner == 0) return nothing();
  const int axis = static_cast<int>(s.axis);
  if (s.inner == 1) {
    const RowKernel* kernel = row_kernel(kSoftmax, request, s.axis);
    return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
      sink.launch(
          kernel->function, kernel->grid(s.outer),
          SoftmaxArgs{global<const void>(in[0]), global<void>(out[0]), s.outer, axis, kLogarithm});
    });
  }
  const Function& function = function_for(kSoftmaxColumns, request.inputs[0].dtype);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    sink.launch(
        function, column_blocks(s),
        SoftmaxColumnsArgs{
            global<const void>(in[0]), {}, global<void>(out[0]), s.inner, axis, kLogarithm});
  });
}

template <bool kLogarithm>
std::unique_ptr<Kernel> prepare_softmax_backward(const KernelRequest& request, std::string&) {
  const AxisSplit s = axis_of(request);
  if (s.outer * s.axis * s.inner == 0) return nothing();
  const int axis = static_cast<int>(s.axis);
  if (s.inner == 1) {
    const RowKernel* kernel = row_kernel(kSoftmaxBackward, request, s.axis);
    return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
      sink.launch(kernel->function, kernel->grid(s.outer),
                  SoftmaxBackwardArgs{global<const void>(in[0]), global<const void>(in[1]),
                                      global<void>(out[0]), s.outer, axis, kLogarithm});
    });
  }
  const Function& function = function_for(kSoftmaxColumnsBackward, request.inputs[0].dtype);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    sink.launch(function, column_blocks(s),
                SoftmaxColumnsArgs{global<const void>(in[0]), global<const void>(in[1]),
                                   global<void>(out[0]), s.inner, axis, kLogarithm});
  });
}

AxisSplit summed(const KernelRequest& request) {
  const Axes& axes = request.params.as<LogSumExpParams>().axes;
  return {request.inputs[0].shape, static_cast<size_t>(axes.front()),
          static_cast<size_t>(axes.back()) + 1};
}

std::string decline_logsumexp(const KernelRequest& request) {
  const Axes& axes = request.params.as<LogSumExpParams>().axes;
  if (axes.empty()) return "no axes";
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != axes[0] + static_cast<int64_t>(i)) return "axes apart";
    if (request.inputs[0].shape[static_cast<size_t>(axes[i])] == 0) return "an empty axis";
  }
  return decline_axis(request, summed(request));
}

std::unique_ptr<Kernel> prepare_logsumexp(const KernelRequest& request, std::string&) {
  const AxisSplit s = summed(request);
  if (s.outer * s.inner == 0) return nothing();
  const int axis = static_cast<int>(s.axis);
  if (s.inner == 1) {
    const RowKernel* kernel = row_kernel(kLogSumExp, request, s.axis);
    return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
      sink.launch(kernel->function, kernel->grid(s.outer),
                  LogSumExpArgs{global<const void>(in[0]), global<void>(out[0]), s.outer, axis});
    });
  }
  const Function& function = function_for(kLogSumExpColumns, request.inputs[0].dtype);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    sink.launch(
        function, column_blocks(s),
        SoftmaxColumnsArgs{global<const void>(in[0]), {}, global<void>(out[0]), s.inner, axis, 0});
  });
}

}  // namespace

void register_softmax(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, bool in_place, auto decline, auto prepare) {
    table.add(primitive, {.name = "rows",
                          .in_place = in_place,
                          .decline = decline,
                          .prepare = prepare,
                          .never_throws = true});
  };
  add(softmax_primitive(), true, decline_softmax, prepare_softmax<false>);
  add(log_softmax_primitive(), true, decline_softmax, prepare_softmax<true>);
  add(softmax_backward_primitive(), false, decline_softmax, prepare_softmax_backward<false>);
  add(log_softmax_backward_primitive(), false, decline_softmax, prepare_softmax_backward<true>);
  add(logsumexp_primitive(), false, decline_logsumexp, prepare_logsumexp);
}

}  // namespace linnet::cuda
