#include "kernels/cuda/register/batch_norm.h"

#include "core/ops/batch_norm_training.h"
#include "kernels/axis_split.h"
#include "kernels/cuda/register/column_kernels.h"
#include "kernels/cuda/register/row_kernels.h"

namespace linnet::cuda {
namespace {

const AccessKernel kMoments[] = {LINNET_BATCH_NORM_MOMENTS_KERNELS(LINNET_ACCESS_KERNEL)};
const StatisticsKernel kFinishMoments[] = {
    LINNET_BATCH_NORM_FINISH_MOMENTS_KERNELS(LINNET_STATISTICS_KERNEL)};
const AccessKernel kApply[] = {LINNET_BATCH_NORM_APPLY_KERNELS(LINNET_ACCESS_KERNEL)};
const AccessKernel kSums[] = {LINNET_BATCH_NORM_SUMS_KERNELS(LINNET_ACCESS_KERNEL)};
const StatisticsKernel kFinishSums[] = {
    LINNET_BATCH_NORM_FINISH_SUMS_KERNELS(LINNET_STATISTICS_KERNEL)};
const AccessKernel kBackward[] = {LINNET_BATCH_NORM_BACKWARD_KERNELS(LINNET_ACCESS_KERNEL)};

// Blocks of sums are the same on every device, since they decide the order of the sums.
constexpr int64_t kBlocksOfSums = 8 * 132, kBlocksOfRows = 32 * 132;

AxisSplit rows_and_channels(const KernelRequest& request) {
  const auto& shape = request.inputs[0].shape;
  return {shape, shape.size() - 1, shape.size()};
}

/// @param scale operand index of the scale, which the bias follows
/// @param moments whether operands 1 and 2 are mean and variance
std::string decline_operands(const KernelRequest& request, size_t scale, bool moments) {
  const AxisSplit s = rows_and_channels(request);
  if (s.outer * s.axis == 0) return "an empty operand";
  if (s.axis > kMostColumns) return "2^31 channels";
  const DType dtype = request.inputs[0].dtype;
  for (size_t i = 1; moments && i < 3; ++i) {
    if (request.inputs[i].dtype != wide_dtype(dtype)) return "statistics of another type";
  }
  for (size_t i = scale; i < request.inputs.size(); ++i) {
    const std::string reason = decline_parameter(request, i);
    if (!reason.empty()) return reason;
  }
  return {};
}

std::string decline_train(const KernelRequest& request) {
  return decline_operands(request, 1, false);
}
std::string decline_train_relu(const KernelRequest& request) {
  const auto& p = request.params.as<BatchNormReluParams>();
  const size_t parameters = request.inputs.size() - p.has_residual;
  return decline_operands(
      {request.primitive, request.params, request.inputs.first(parameters), request.outputs}, 1,
      false);
}
std::string decline_inference_relu(const KernelRequest& request) {
  const auto& p = request.params.as<BatchNormReluParams>();
  const size_t parameters = request.inputs.size() - p.has_residual;
  return decline_operands(
      {request.primitive, request.params, request.inputs.first(parameters), request.outputs}, 3,
      true);
}
std::string decline_inference(const KernelRequest& request) {
  return decline_operands(request, 3, true);
}
std::string decline_backward(const KernelRequest& request) {
  if (request.inputs[3].dtype != request.inputs[0].dtype) return "a cotangent of another type";
  return decline_operands(request, 4, true);
}

/// What follows the norm.
struct Following {
  bool relu = false, residual = false;
};

/// y = (x - mean) / sqrt(variance + epsilon) scale + bias, and what follows.
struct Apply {
  const Function* function;
  ColumnGrid grid;
  BatchNormArgs args;
  size_t scale, bias, residual = 0;

  Apply(const KernelRequest& request, const BatchNormParams& p, size_t first,
        const Following& following = {})
      : args{}, scale(first), bias(first + p.has_scale) {
    if (following.residual) residual = bias + p.has_bias;
    args.relu = following.relu;
    const AxisSplit s = rows_and_channels(request);
    const AccessKernel& kernel = access_kernel(kApply, request, s.axis);
    function = &kernel.function;
    grid = column_grid(s.outer, s.axis, kernel.width, kBlocksOfRows);
    args.layout = grid.layout;
    args.scale_kind = parameter_kind(request, scale, p.has_scale);
    args.bias_kind = parameter_kind(request, bias, p.has_bias);
    args.epsilon = p.epsilon;
  }
  void emit(LaunchSink& sink, Operands in, Address mean, Address variance, Address y) const {
    BatchNormArgs now = args;
    now.x = global<const void>(in[0]);
    now.mean = global<const void>(mean);
    now.variance = global<const void>(variance);
    now.scale = parameter_at(args.scale_kind, in, scale);
    now.bias = parameter_at(args.bias_kind, in, bias);
    if (residual) now.residual = global<const void>(in[residual]);
    now.y = global<void>(y);
    sink.launch(*function, grid.extent(), now);
  }
};

std::unique_ptr<Kernel> make_train(const KernelRequest& request, const BatchNormParams& p,
                                   const Following& following) {
  const AxisSplit s = rows_and_channels(request);
  const DType dtype = request.inputs[0].dtype;
  const AccessKernel& moments = access_kernel(kMoments, request, s.axis);
  const Function& finish = statistics_function(kFinishMoments, dtype);
  const ColumnGrid grid = column_grid(s.outer, s.axis, moments.width, kBlocksOfSums);
  const Apply apply(request, p, 1, following);
  return make_device_kernel(
      [=, &moments, &finish](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        const Address squares = second_sums(dtype, grid.parts, s.axis, workspace);
        sink.launch(moments.function, grid.extent(),
                    ColumnMomentsArgs{global<const void>(in[0]), global<void>(workspace),
                                      global<void>(squares), grid.layout});
        sink.launch(finish, finish_grid(s.axis),
                    FinishMomentsArgs{global<const void>(workspace), global<const void>(squares),
                                      global<void>(out[1]), global<void>(out[2]), s.outer,
                                      grid.layout.rows_per_part, grid.layout.columns, grid.parts});
        apply.emit(sink, in, out[1], out[2], out[0]);
      },
      sums_bytes(dtype, grid.parts, s.axis));
}

std::unique_ptr<Kernel> prepare_train(const KernelRequest& request, std::string&) {
  return make_train(request, request.params.as<BatchNormParams>(), {});
}

std::unique_ptr<Kernel> prepare_train_relu(const KernelRequest& request, std::string&) {
  const auto& p = request.params.as<BatchNormReluParams>();
  return make_train(request, p.norm, {true, p.has_residual});
}

std::unique_ptr<Kernel> make_inference(const KernelRequest& request, const BatchNormParams& p,
                                       const Following& following) {
  return make_device_kernel([apply = Apply(request, p, 3, following)](LaunchSink& sink, Operands in,
                                                                      Operands out, Address) {
    apply.emit(sink, in, in[1], in[2], out[0]);
  });
}

std::unique_ptr<Kernel> prepare_inference(const KernelRequest& request, std::string&) {
  return make_inference(request, request.params.as<BatchNormParams>(), {});
}

std::unique_ptr<Kernel> prepare_inference_relu(const KernelRequest& request, std::string&) {
  const auto& p = request.params.as<BatchNormReluParams>();
  return make_inference(request, p.norm, {true, p.has_residual});
}

struct Backward {
  const Function *sums, *finish, *rows;
  ColumnGrid sums_grid, rows_grid;
  DType dtype;
  BatchNormKinds kinds;
  BatchNormParams params;

  /// @param relu whether the norm's bias is an operand, and dy comes through relu
  Backward(const KernelRequest& request, bool relu)
      : finish(&statistics_function(kFinishSums, request.inputs[0].dtype)),
        dtype(request.inputs[0].dtype),
        params(request.params.as<BatchNormParams>()) {
    const AxisSplit s = rows_and_channels(request);
    const AccessKernel& first = access_kernel(kSums, request, s.axis);
    const AccessKernel& second = access_kernel(kBackward, request, s.axis);
    sums = &first.function;
    rows = &second.function;
    sums_grid = column_grid(s.outer, s.axis, first.width, kBlocksOfSums);
    rows_grid = column_grid(s.outer, s.axis, second.width, kBlocksOfRows);
    kinds = {parameter_kind(request, 4, params.has_scale),
             parameter_kind(request, bias(), relu && params.has_bias), relu, params.epsilon};
  }

  size_t bias() const { return size_t{4} + params.has_scale; }

  int64_t channels() const { return sums_grid.layout.columns; }
  /// Offsets and slopes of the channels come first, then the partial sums.
  size_t channel_bytes() const {
    return (static_cast<size_t>(channels()) * size_of(wide_dtype(dtype)) + 63) / 64 * 64;
  }
  size_t workspace_bytes() const {
    return 2 * channel_bytes() + sums_bytes(dtype, sums_grid.parts, channels());
  }
  void emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const;
};

void Backward::emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const {
  const Address offset = workspace, slope{workspace.word + channel_bytes()};
  const Address first{workspace.word + 2 * channel_bytes()};
  const Address second = second_sums(dtype, sums_grid.parts, channels(), first);
  const auto x = global<const void>(in[0]), dy = global<const void>(in[3]);
  const BatchNormForward norm{global<const void>(in[1]), global<const void>(in[2]),
                              parameter_at(kinds.scale, in, 4),
                              parameter_at(kinds.bias, in, bias())};
  sink.launch(*sums, sums_grid.extent(),
              BatchNormSumsArgs{x, dy, norm, global<void>(first), global<void>(second),
                                sums_grid.layout, kinds});
  const ColumnLayout& layout = sums_grid.layout;
  sink.launch(*finish, finish_grid(channels()),
              FinishBatchNormArgs{
                  global<const void>(first), global<const void>(second), norm.variance,
                  params.has_scale ? global<void>(out[1]) : Global<void>{},
                  params.has_bias ? global<void>(out[1 + params.has_scale]) : Global<void>{},
                  global<void>(offset), global<void>(slope), layout.rows, layout.columns,
                  sums_grid.parts, params.epsilon});
  sink.launch(
      *rows, rows_grid.extent(),
      BatchNormBackwardArgs{x, dy, norm, global<const void>(offset), global<const void>(slope),
                            global<void>(out[0]), rows_grid.layout, kinds});
}

template <bool relu>
std::unique_ptr<Kernel> prepare_backward(const KernelRequest& request, std::string&) {
  const Backward backward(request, relu);
  return make_device_kernel(
      [backward](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        backward.emit(sink, in, out, workspace);
      },
      backward.workspace_bytes());
}

}  // namespace

void register_batch_norm(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, auto decline, auto prepare) {
    table.add(primitive,
              {.name = "columns", .decline = decline, .prepare = prepare, .never_throws = true});
  };
  add(batch_norm_train_primitive(), decline_train, prepare_train);
  add(batch_norm_train_relu_primitive(), decline_train_relu, prepare_train_relu);
  add(batch_norm_inference_primitive(), decline_inference, prepare_inference);
  add(batch_norm_inference_relu_primitive(), decline_inference_relu, prepare_inference_relu);
  add(batch_norm_backward_primitive(), decline_backward, prepare_backward<false>);
  add(batch_norm_relu_backward_primitive(), decline_backward, prepare_backward<true>);
}

}  // namespace linnet::cuda
