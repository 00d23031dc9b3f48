// Kernels of window reductions.
#include <limits>
#include <optional>

#include "core/ops/window.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/pool/pool_args.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {
namespace {

bool is_reduced(const WindowParams& p, size_t i) {
  return p.window[i] != 1 || p.strides[i] != 1 || p.padding_low[i] != 0 || p.padding_high[i] != 0 ||
         p.base_dilation[i] != 1;
}

/// Coordinates of windows, between dilated elements too, are 32-bit numbers.
bool fits(const WindowParams& p, std::span<const int64_t> in, size_t i) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 4;
  const auto small = [&](int64_t value) { return -kMost < value && value < kMost; };
  for (int64_t value : {in[i], p.window[i], p.strides[i], p.padding_low[i], p.padding_high[i],
                        p.base_dilation[i], p.window_dilation[i]}) {
    if (!small(value)) return false;
  }
  return small(in[i] * p.base_dilation[i]) && small(p.window[i] * p.window_dilation[i]);
}

int64_t pack_of(DType dtype) { return 16 / static_cast<int64_t>(size_of(dtype)); }

/// None, with the reason, if windows slide over too many dimensions.
std::optional<PoolShape> shape_of(const WindowParams& p, std::span<const int64_t> in,
                                  std::span<const int64_t> out, DType dtype, size_t alignment,
                                  int64_t width, std::string& reason) {
  size_t begin = 0, end = in.size();
  while (begin < end && !is_reduced(p, begin)) ++begin;
  while (end > begin && !is_reduced(p, end - 1)) --end;
  if (end - begin > kPoolRank) {
    reason = "windows over more than three dimensions";
    return {};
  }
  PoolShape shape = {};
  const int64_t channels = element_count(in.subspan(end));
  shape.packed = alignment >= static_cast<size_t>(width) * size_of(dtype) &&
                 channels % width == 0 && channels > 0;
  shape.channels =
      channels == 0 ? PositionDivisor() : PositionDivisor(channels / (shape.packed ? width : 1));
  int64_t in_stride = channels, out_stride = channels;
  for (size_t d = kPoolRank; d-- > 0;) {
    PoolDimension& to = shape.dimension[d];
    to = {1, 1, 1, 1, 0, 1, 1, 0, 0};
    if (kPoolRank - d > end - begin) continue;
    const size_t i = end - (kPoolRank - d);
    if (!fits(p, in, i)) {
      reason = "windows over more than 2^29 elements";
      return {};
    }
    const auto small = [](int64_t value) { return static_cast<int32_t>(value); };
    to = {small(in[i]),
          small(out[i]),
          small(p.window[i]),
          small(p.strides[i]),
          small(p.padding_low[i]),
          small(p.base_dilation[i]),
          small(p.window_dilation[i]),
          small(in_stride),
          small(out_stride)};
    in_stride *= in[i];
    out_stride *= out[i];
    if (in[i] > 0) shape.in[d] = PositionDivisor(in[i]);
    if (out[i] > 0) shape.out[d] = PositionDivisor(out[i]);
  }
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (in_stride > kMost || out_stride > kMost) {
    reason = "more than 2^31 elements for one of the batch";
    return {};
  }
  shape.in_batch = in_stride;
  shape.out_batch = out_stride;
  shape.in_count = element_count(in) / (shape.packed ? width : 1);
  shape.out_count = element_count(out) / (shape.packed ? width : 1);
  return shape;
}

#define LINNET_POOL(name, T) Function("reduce_window_" #name, kPoolThreads),
const Function kWindow[] = {LINNET_POOL_KERNELS(LINNET_POOL)};
#define LINNET_SELECT(name, T) \
  {Function("select_gather_" #name, kPoolThreads), Function("select_scatter_" #name, kPoolThreads)},
struct SelectFunctions {
  Function gather, scatter;
};
const SelectFunctions kSelect[] = {LINNET_SELECT_KERNELS(LINNET_SELECT)};

template <Fold kKind>
std::unique_ptr<Kernel> prepare_window(const KernelRequest& request, std::string& reason) {
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  const auto shape = shape_of(request.params.as<WindowParams>(), x.shape, y.shape, x.dtype,
                              std::min(x.alignment, y.alignment), pack_of(x.dtype), reason);
  if (!shape) return nullptr;
  PoolArgs args = {};
  args.shape = *shape;
  args.kind = kKind;
  const Function& function = kWindow[number_of(x.dtype)];
  const uint32_t blocks = blocks_for(shape->out_count, kPoolThreads);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (blocks == 0) return;
    PoolArgs launched = args;
    // An operand without elements has no memory; nothing is read then.
    launched.x = global<const void>(launched.shape.in_count == 0 ? out[0] : in[0]);
    launched.y = global<void>(out[0]);
    sink.launch(function, {blocks}, launched);
  });
}

std::string decline_select(const KernelRequest& request) {
  const DType dtype = request.inputs[1].dtype;
  if (is_floating(dtype) || dtype == DType::kI32) return {};
  return "dtype " + std::string(name_of(dtype));
}

/// Of the values like windows (scatter) or like x (gather), and x.
template <bool kScatter>
std::unique_ptr<Kernel> prepare_select(const KernelRequest& request, std::string& reason) {
  const OperandView &values = request.inputs[0], &x = request.inputs[1], &y = request.outputs[0];
  const SelectParams& p = request.params.as<SelectParams>();
  const auto shape = shape_of(p.window, x.shape, kScatter ? values.shape : y.shape, x.dtype,
                              std::min({values.alignment, x.alignment, y.alignment}),
                              std::min<int64_t>(pack_of(x.dtype), kSelectMostPack), reason);
  if (!shape) return nullptr;
  SelectArgs args = {};
  args.shape = *shape;
  args.maximum = p.maximum;
  const SelectFunctions& functions = kSelect[x.dtype == DType::kI32 ? 4 : number_of(x.dtype)];
  const Function& function = kScatter ? functions.scatter : functions.gather;
  const uint32_t blocks = blocks_for(kScatter ? shape->in_count : shape->out_count, kPoolThreads);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (blocks == 0) return;
    SelectArgs launched = args;
    // An operand without elements has no memory; nothing is read then.
    const bool reads = launched.shape.in_count > 0 && launched.shape.out_count > 0;
    launched.values = global<const void>(reads ? in[0] : out[0]);
    launched.x = global<const void>(reads || kScatter ? in[1] : out[0]);
    launched.to = global<void>(out[0]);
    sink.launch(function, {blocks}, launched);
  });
}

}  // namespace

void register_pool(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, auto prepare) {
    table.add(primitive, {.name = "windows", .prepare = prepare, .never_throws = true});
  };
  add(reduce_window_sum_primitive(), prepare_window<Fold::kSum>);
  add(reduce_window_max_primitive(), prepare_window<Fold::kMax>);
  add(reduce_window_min_primitive(), prepare_window<Fold::kMin>);
  const auto add_select = [&](const Primitive& primitive, auto prepare) {
    table.add(
        primitive,
        {.name = "windows", .decline = decline_select, .prepare = prepare, .never_throws = true});
  };
  add_select(select_and_scatter_add_primitive(), prepare_select<true>);
  add_select(select_and_gather_primitive(), prepare_select<false>);
}

}  // namespace linnet::cuda
