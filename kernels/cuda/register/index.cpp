// Kernels of gather and scatter.
#include <cstring>
#include <limits>

#include "core/ops/indexing.h"
#include "kernels/cuda/index/gather_args.h"
#include "kernels/cuda/index/plan.h"
#include "kernels/cuda/index/scatter_plan.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"
#include "kernels/cuda/register/families.h"
#include "linnet/visit_dtype.h"

namespace linnet::cuda {
namespace {

// What reads as an out-of-range element of a filling gather: NaN, the least signed or the greatest
// unsigned value, true.
uint64_t fill_bits(DType dtype) {
  uint64_t bits = 0;
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T value;
    if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>)
      value = T(std::numeric_limits<float>::quiet_NaN());
    else if constexpr (std::is_floating_point_v<T>)
      value = std::numeric_limits<T>::quiet_NaN();
    else if constexpr (std::is_signed_v<T>)
      value = std::numeric_limits<T>::min();
    else
      value = std::numeric_limits<T>::max();
    std::memcpy(&bits, &value, sizeof value);
  });
  return bits;
}

/// Dimensions of the result, in elements: strides in x and in the indices.
Dimensions<2> gather_dimensions(const KernelRequest& request) {
  const OperandView &x = request.inputs[0], &indices = request.inputs[1];
  const GatherParams& p = request.params.as<GatherParams>();
  Dimensions<2> result;
  size_t slice = 0, batch = 0;
  for (size_t i = 0; i < request.outputs[0].shape.size(); ++i) {
    const int64_t size = request.outputs[0].shape[i];
    if (contains_axis(p.offset_dims, i)) {
      while (contains_axis(p.collapsed_slice_dims, slice) ||
             contains_axis(p.operand_batching_dims, slice))
        ++slice;
      result.push_back({size, {x.strides[slice++], 0}});
    } else {
      int64_t in_x = 0;
      for (size_t b = 0; b < p.indices_batching_dims.size(); ++b) {
        if (p.indices_batching_dims[b] == static_cast<int64_t>(batch))
          in_x = x.strides[static_cast<size_t>(p.operand_batching_dims[b])];
      }
      result.push_back({size, {in_x, indices.strides[batch++]}});
    }
  }
  return merged(result);
}

/// Elements of a word of the gather: as many of the innermost dimension as 16 bytes hold, or one.
int64_t gather_width(const KernelRequest& request, const Dimensions<2>& result,
                     const IndexVectors& vectors) {
  const OperandView& x = request.inputs[0];
  const int64_t most = 16 / static_cast<int64_t>(size_of(x.dtype));
  if (result.empty() || result.back().stride[0] != 1 || result.back().stride[1] != 0) return 1;
  for (int64_t width = most; width > 1; width /= 2) {
    bool fits = x.alignment >= static_cast<size_t>(width) * size_of(x.dtype) &&
                result.back().size % width == 0 && keeps_packs(result, 0, width, false);
    for (int c = 0; c < vectors.components; ++c) fits = fits && vectors.stride[c] % width == 0;
    if (fits) return width;
  }
  return 1;
}

#define LINNET_GATHER(bytes, T, width) Function("gather_" #bytes, kGatherThreads),
const Function kGather[] = {LINNET_GATHER_KERNELS(LINNET_GATHER)};

const Function& gather_function(size_t word_bytes) {
  size_t at = 0;
  while ((size_t{1} << at) < word_bytes) ++at;
  return kGather[at];
}

std::unique_ptr<Kernel> prepare_gather(const KernelRequest& request, std::string& reason) {
  const OperandView &x = request.inputs[0], &indices = request.inputs[1];
  const GatherParams& p = request.params.as<GatherParams>();
  GatherArgs args = {};
  if (!fill_vectors(indices, x, x.strides, p.slice_sizes, p.start_index_map,
                    p.mode == GatherMode::kFill, args.vectors)) {
    reason = "index vectors of more than 6 numbers, or slices of nothing";
    return nullptr;
  }
  Dimensions<2> result = gather_dimensions(request);
  args.count = element_count(request.outputs[0].shape);
  const int64_t width = gather_width(request, result, args.vectors);
  if (width > 1) {
    for (Dimension<2>& d : result) d.stride[0] /= width;
    result.back() = {result.back().size / width, {1, 0}};
    for (int c = 0; c < args.vectors.components; ++c) args.vectors.stride[c] /= width;
    args.count /= width;
  }
  const auto walk = walk_of(merged(result));
  if (!walk) {
    reason = kTooManyDimensions;
    return nullptr;
  }
  args.result = *walk;
  const size_t word = static_cast<size_t>(width) * size_of(x.dtype);
  const uint64_t fill = p.zero_fill ? 0 : fill_bits(x.dtype);
  std::byte pattern[sizeof args.fill];
  for (size_t i = 0; i < sizeof pattern; i += size_of(x.dtype))
    std::memcpy(pattern + i, &fill, size_of(x.dtype));
  std::memcpy(args.fill, pattern, sizeof pattern);
  const uint32_t blocks = blocks_for(args.count, kGatherThreads);
  const Function& function = gather_function(word);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (blocks == 0) return;
    GatherArgs launched = args;
    launched.x = global<const void>(in[0]);
    // Index vectors without numbers have no memory.
    launched.indices = global<const void>(launched.vectors.components == 0 ? out[0] : in[1]);
    launched.y = global<void>(out[0]);
    sink.launch(function, {blocks}, launched);
  });
}

template <Combine kCombine>
std::unique_ptr<Kernel> prepare_scatter(const KernelRequest& request, std::string& reason) {
  const std::optional<ScatterPlan> plan = plan_scatter(request, kCombine, reason);
  if (!plan) return nullptr;
  return make_device_kernel(
      [plan = *plan](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        plan.emit(sink, in, out, workspace);
      },
      plan->workspace_bytes());
}

}  // namespace

void register_index(KernelTable& table) {
  table.add(gather_primitive(),
            {.name = "words", .strided = true, .prepare = prepare_gather, .never_throws = true});
  // An operand that is not dense is copied before, so that results can take its memory.
  const auto add_scatter = [&](const Primitive& primitive, auto prepare) {
    table.add(primitive, {.name = "in order of targets",
                          .in_place = true,
                          .prepare = prepare,
                          .never_throws = true});
  };
  add_scatter(scatter_add_primitive(), prepare_scatter<Combine::kAdd>);
  add_scatter(scatter_primitive(), prepare_scatter<Combine::kReplace>);
  add_scatter(scatter_mul_primitive(), prepare_scatter<Combine::kMultiply>);
  add_scatter(scatter_min_primitive(), prepare_scatter<Combine::kMin>);
  add_scatter(scatter_max_primitive(), prepare_scatter<Combine::kMax>);
}

}  // namespace linnet::cuda
