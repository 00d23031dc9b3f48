// Layer and RMS normalisation and their gradients.
#include <algorithm>

#include "core/ops/nn.h"
#include "kernels/axis_split.h"
#include "kernels/cuda/norm/norm_args.h"
#include "kernels/cuda/register/batch_norm.h"
#include "kernels/cuda/register/column_kernels.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/register/row_kernels.h"

namespace linnet::cuda {
namespace {

const RowKernel kLayerNorm[] = {LINNET_LAYER_NORM_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kRmsNorm[] = {LINNET_RMS_NORM_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kLayerNormBackward[] = {LINNET_LAYER_NORM_BACKWARD_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kRmsNormBackward[] = {LINNET_RMS_NORM_BACKWARD_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kLayerNormGradients[] = {LINNET_LAYER_NORM_GRADIENTS_KERNELS(LINNET_ROW_KERNEL)};
const RowKernel kRmsNormGradients[] = {LINNET_RMS_NORM_GRADIENTS_KERNELS(LINNET_ROW_KERNEL)};
const AccessKernel kSums[] = {LINNET_NORM_SUMS_KERNELS(LINNET_ACCESS_KERNEL)};
const StatisticsKernel kFinishSums[] = {LINNET_NORM_FINISH_SUMS_KERNELS(LINNET_STATISTICS_KERNEL)};

// Shorter rows leave too many threads of the one-pass gradient without work.
constexpr int64_t kFewestOfOnePass = 512;
// Blocks of 128, 256 and 512 threads that 132 multiprocessors hold at once. The number is the same
// on every device, since it decides the order of the sums.
constexpr int64_t kBlocksOfOnePass = 132 * 512;
constexpr int64_t kBlocksOfSums = 8 * 132;

/// [rows, columns] of a normalisation over trailing axes.
AxisSplit rows_of(const KernelRequest& request) {
  const auto& shape = request.inputs[0].shape;
  return {shape, shape.size() - static_cast<size_t>(request.params.as<NormParams>().axes),
          shape.size()};
}

/// @param first operand index of the scale, which the bias follows
std::string decline_operands(const KernelRequest& request, size_t first) {
  const AxisSplit s = rows_of(request);
  if (s.outer * s.axis == 0) return "an empty operand";
  if (s.axis > kMostColumns) return "rows of 2^31 elements";
  if (s.outer > kMostBlocks) return "2^31 rows";
  for (size_t i = first; i < request.inputs.size(); ++i) {
    const std::string reason = decline_parameter(request, i);
    if (!reason.empty()) return reason;
  }
  return {};
}

std::string decline_forward(const KernelRequest& request) { return decline_operands(request, 1); }

/// @tparam kScale operand index of the scale: after x, the statistics and dy
template <size_t kScale>
std::string decline_backward(const KernelRequest& request) {
  const DType dtype = request.inputs[0].dtype;
  for (size_t i = 1; i + 1 < kScale; ++i) {
    if (request.inputs[i].dtype != wide_dtype(dtype)) return "statistics of another type";
  }
  if (request.inputs[kScale - 1].dtype != dtype) return "a cotangent of another type";
  return decline_operands(request, kScale);
}

template <bool kCentred>
std::unique_ptr<Kernel> prepare(const KernelRequest& request, std::string&) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  const size_t bias = 1 + p.has_scale;
  NormArgs args{};
  args.rows = s.outer;
  args.columns = static_cast<int>(s.axis);
  args.scale_kind = parameter_kind(request, 1, p.has_scale);
  args.bias_kind = parameter_kind(request, bias, p.has_bias);
  args.epsilon = p.epsilon;
  const RowKernel* kernel =
      row_kernel(kCentred ? std::span<const RowKernel>(kLayerNorm) : kRmsNorm,
                 request.inputs[0].dtype, s.axis, common_alignment(request, false));
  return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
    NormArgs now = args;
    now.x = global<const void>(in[0]);
    now.scale = parameter_at(args.scale_kind, in, 1);
    now.bias = parameter_at(args.bias_kind, in, bias);
    now.y = global<void>(out[0]);
    if (kCentred) now.mean = global<void>(out[1]);
    now.rstd = global<void>(out[kCentred ? 2 : 1]);
    sink.launch(kernel->function, kernel->grid(args.rows), now);
  });
}

/// What the launches of a gradient share.
struct Backward {
  const RowKernel* kernel;   ///< of the rows
  const AccessKernel* sums;  ///< null where `kernel` gives the sums too
  const Function* finish;    ///< null where no sums are wanted
  ColumnGrid grid;           ///< of the sums
  DType dtype;
  NormBackwardArgs args;
  bool centred, has_scale, has_bias;

  size_t workspace_bytes() const {
    const bool wanted = finish || !sums;  // the kernel of one pass writes them in any case
    return wanted ? sums_bytes(dtype, grid.parts, grid.layout.columns) : 0;
  }
  void emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const;
};

void Backward::emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const {
  const size_t statistics = centred ? 2 : 1;
  const int columns = args.columns;
  const Address second = second_sums(dtype, grid.parts, columns, workspace);
  NormBackwardArgs now = args;
  now.x = global<const void>(in[0]);
  if (centred) now.mean = global<const void>(in[1]);
  now.rstd = global<const void>(in[statistics]);
  now.dy = global<const void>(in[statistics + 1]);
  now.scale = parameter_at(args.scale_kind, in, statistics + 2);
  now.dx = global<void>(out[0]);
  now.first = global<void>(workspace);
  now.second = global<void>(second);
  sink.launch(kernel->function,
              sums ? kernel->grid(args.rows) : Extent{static_cast<uint32_t>(grid.parts)}, now);
  if (sums && finish) {
    sink.launch(
        sums->function, grid.extent(),
        ColumnSumsArgs{now.x, now.dy, now.mean, now.rstd, now.first, now.second, grid.layout});
  }
  if (!finish) return;
  sink.launch(*finish, finish_grid(columns),
              FinishSumsArgs{global<const void>(workspace), global<const void>(second),
                             has_scale ? global<void>(out[1]) : Global<void>{},
                             has_bias ? global<void>(out[1 + has_scale]) : Global<void>{}, columns,
                             grid.parts});
}

template <bool kCentred>
std::unique_ptr<Kernel> prepare_backward(const KernelRequest& request, std::string&) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  const DType dtype = request.inputs[0].dtype;
  const size_t alignment = common_alignment(request, false);
  const auto chosen = [&](std::span<const RowKernel> centred, std::span<const RowKernel> other) {
    return row_kernel(kCentred ? centred : other, dtype, s.axis, alignment);
  };
  Backward backward{};
  backward.dtype = dtype;
  backward.centred = kCentred;
  backward.has_scale = p.has_scale;
  backward.has_bias = p.has_bias;
  backward.args.rows = s.outer;
  backward.args.columns = static_cast<int>(s.axis);
  backward.args.scale_kind = parameter_kind(request, kCentred ? 4 : 3, p.has_scale);
  if (p.has_scale || p.has_bias) backward.finish = &statistics_function(kFinishSums, dtype);
  if (s.axis >= kFewestOfOnePass) backward.kernel = chosen(kLayerNormGradients, kRmsNormGradients);
  if (backward.kernel) {
    backward.grid.layout.columns = backward.args.columns;
    backward.grid.parts =
        static_cast<int>(std::min(s.outer, kBlocksOfOnePass / backward.kernel->threads));
  } else {
    backward.kernel = chosen(kLayerNormBackward, kRmsNormBackward);
    backward.sums = &access_kernel(kSums, request, s.axis);
    backward.grid = column_grid(s.outer, s.axis, backward.sums->width, kBlocksOfSums);
  }
  return make_device_kernel(
      [backward](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        backward.emit(sink, in, out, workspace);
      },
      backward.workspace_bytes());
}

}  // namespace

void register_norm(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, auto decline, auto prepare) {
    table.add(primitive,
              {.name = "rows", .decline = decline, .prepare = prepare, .never_throws = true});
  };
  add(layer_norm_primitive(), decline_forward, prepare<true>);
  add(rms_norm_primitive(), decline_forward, prepare<false>);
  add(layer_norm_backward_primitive(), decline_backward<4>, prepare_backward<true>);
  add(rms_norm_backward_primitive(), decline_backward<3>, prepare_backward<false>);
  register_batch_norm(table);
}

}  // namespace linnet::cuda
