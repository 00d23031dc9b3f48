// Kernels of gather and scatter.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/ops/indexing.h"
#include "kernels/cuda/index/gather_args.h"
#include "kernels/cuda/index/scatter_args.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/sort/radix.h"
#include "kernels/cuda/sort/sort_args.h"

namespace linnet::cuda {
namespace {

bool contains(const Axes& axes, size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
}

/// Where an index vector's window begins, from `indices` [batch…, components].
/// @param window the size of a window in each dimension of the operand
bool fill_vectors(const OperandView& indices, const OperandView& operand,
                  std::span<const int64_t> strides, std::span<const int64_t> window,
                  const Axes& dimensions, bool drops, IndexVectors& vectors) {
  if (dimensions.size() > kIndexComponents) return false;
  vectors.type = element_type(indices.dtype);
  vectors.drops = drops;
  vectors.components = static_cast<int32_t>(dimensions.size());
  vectors.component_stride = indices.strides.back();
  for (size_t c = 0; c < dimensions.size(); ++c) {
    const size_t d = static_cast<size_t>(dimensions[c]);
    vectors.last[c] = operand.shape[d] - window[d];
    vectors.stride[c] = strides[d];
    if (vectors.last[c] < 0) return false;
  }
  return true;
}

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
    if (contains(p.offset_dims, i)) {
      while (contains(p.collapsed_slice_dims, slice) || contains(p.operand_batching_dims, slice))
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
    launched.indices = global<const void>(in[1]);
    launched.y = global<void>(out[0]);
    sink.launch(function, {blocks}, launched);
  });
}

/// A scatter, in elements.
struct ScatterShape {
  Dimensions<3> updates;  // batch dimensions: strides in indices, result, updates
  Dimensions<2> window;   // strides in result and updates
  Shape window_sizes;     // one for each dimension of the result
  bool overlaps = false;  // windows may overlap without being the same
  bool meets = false;     // two index vectors may have the same target

  explicit ScatterShape(const KernelRequest& request) {
    const OperandView &indices = request.inputs[1], &from = request.inputs[2];
    const OperandView& y = request.outputs[0];
    const ScatterParams& p = request.params.as<ScatterParams>();
    size_t next = 0;
    for (size_t i = 0; i < y.shape.size(); ++i) {
      if (contains(p.inserted_window_dims, i) || contains(p.operand_batching_dims, i)) {
        window_sizes.push_back(1);
        continue;
      }
      const size_t at = static_cast<size_t>(p.update_window_dims[next++]);
      window_sizes.push_back(from.shape[at]);
      window.push_back({from.shape[at], {y.strides[i], from.strides[at]}});
    }
    size_t batch = 0;
    for (size_t i = 0; i < from.shape.size(); ++i) {
      if (contains(p.update_window_dims, i)) continue;
      int64_t in_y = 0;
      for (size_t b = 0; b < p.indices_batching_dims.size(); ++b) {
        if (p.indices_batching_dims[b] == static_cast<int64_t>(batch))
          in_y = y.strides[static_cast<size_t>(p.operand_batching_dims[b])];
      }
      if (in_y == 0 && from.shape[i] > 1) meets = true;
      updates.push_back({from.shape[i], {indices.strides[batch++], in_y, from.strides[i]}});
    }
    for (int64_t d : p.scatter_dims_to_operand_dims) {
      const size_t at = static_cast<size_t>(d);
      // A window as large as its dimension has one place.
      if (window_sizes[at] != 1 && window_sizes[at] != y.shape[at]) overlaps = true;
    }
    // Elements of windows are updates of their own then.
    if (meets && overlaps) {
      for (const Dimension<2>& d : window)
        updates.push_back({d.size, {0, d.stride[0], d.stride[1]}});
      window.clear();
    }
  }
};

/// The greatest number that divides all targets.
int64_t granule_of(const ScatterShape& shape, const IndexVectors& vectors) {
  int64_t granule = 0;
  for (const auto& d : shape.updates) {
    if (d.size > 1) granule = std::gcd(granule, d.stride[1]);
  }
  for (int c = 0; c < vectors.components; ++c) {
    if (vectors.last[c] > 0) granule = std::gcd(granule, vectors.stride[c]);
  }
  return std::max<int64_t>(1, granule);
}

#define LINNET_SCATTER(name, T) Function("scatter_" #name, kScatterThreads),
const Function kScatter[] = {LINNET_SCATTER_KERNELS(LINNET_SCATTER)};
const Function kTargets("scatter_targets", kScatterThreads);
const Function kSortKeys("sort_block_32", kSortThreads);

/// Replacing takes words of any type.
const Function& scatter_function(DType dtype, bool replaces) {
  if (!replaces && is_floating(dtype)) {
    return dtype == DType::kF32    ? kScatter[0]
           : dtype == DType::kBF16 ? kScatter[1]
           : dtype == DType::kF16  ? kScatter[2]
                                   : kScatter[3];
  }
  return size_of(dtype) == 1   ? kScatter[4]
         : size_of(dtype) == 2 ? kScatter[5]
         : size_of(dtype) == 4 ? kScatter[6]
                               : kScatter[7];
}

bool packs_windows(const KernelRequest& request, const ScatterShape& shape,
                   const IndexVectors& vectors, int64_t width) {
  const OperandView &from = request.inputs[2], &y = request.outputs[0];
  if (shape.window.empty() || from.alignment < 16 || y.alignment < 16) return false;
  const Dimension<2>& inner = shape.window.back();
  if (inner.stride[0] != 1 || inner.stride[1] != 1 || inner.size % width != 0) return false;
  for (int c = 0; c < vectors.components; ++c) {
    if (vectors.last[c] > 0 && vectors.stride[c] % width != 0) return false;
  }
  return keeps_packs(shape.window, 0, width, false) && keeps_packs(shape.window, 1, width, false) &&
         keeps_packs(shape.updates, 1, width, true) && keeps_packs(shape.updates, 2, width, true);
}

/// Launches of a scatter; the arguments lack addresses.
struct ScatterLaunches {
  ScatterTargetsArgs targets = {};
  ScatterArgs scatter = {};
  SortBlockArgs sort = {};  // of few keys
  bool sorts_in_block = false;
  RadixPlan radix{0, 0, 4, 0};
  size_t targets_bytes = 0, keys_bytes = 0;
  size_t operand_bytes = 0;
  uint32_t target_blocks = 0, blocks = 0;
  const Function* function = nullptr;

  size_t workspace_bytes() const {
    if (!scatter.ordered) return targets_bytes;
    return targets_bytes + (sorts_in_block ? 4 * keys_bytes : radix.workspace_bytes());
  }
  void emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const;

 private:
  /// Sorts the keys; `keys` and `at` become the sorted ones.
  void emit_block_sort(LaunchSink& sink, Address& keys, Address& at) const;
};

void ScatterLaunches::emit_block_sort(LaunchSink& sink, Address& keys, Address& at) const {
  SortBlockArgs args = sort;
  const uint32_t shared = static_cast<uint32_t>(args.capacity) * 2 * sizeof(uint32_t);
  args.x = global<const void>(keys);
  at = moved(keys, 2 * keys_bytes);
  args.y = global<void>(at);
  args.positions = true;
  sink.launch(kSortKeys, {1}, args, shared);
  keys = moved(keys, 3 * keys_bytes);
  args.y = global<void>(keys);
  args.positions = false;
  sink.launch(kSortKeys, {1}, args, shared);
}

void ScatterLaunches::emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const {
  if (in[0].word != out[0].word) sink.copy(out[0], in[0], operand_bytes);
  if (blocks == 0) return;
  const Address pairs = moved(workspace, targets_bytes);
  Address keys = pairs;
  Address at = sorts_in_block ? moved(pairs, keys_bytes) : radix.at(pairs, 0);
  ScatterTargetsArgs first = targets;
  first.indices = global<const void>(in[1]);
  first.targets = global<int64_t>(workspace);
  first.keys = global<uint32_t>(keys);
  first.at = global<uint32_t>(at);
  sink.launch(kTargets, {target_blocks}, first);
  if (scatter.ordered) {
    if (sorts_in_block) {
      emit_block_sort(sink, keys, at);
    } else {
      radix.emit(sink, pairs);
      keys = radix.sorted_keys(pairs);
      at = radix.sorted_at(pairs);
    }
  }
  ScatterArgs last = scatter;
  last.y = global<void>(out[0]);
  last.updates = global<const void>(in[2]);
  last.targets = global<const int64_t>(workspace);
  last.keys = global<const uint32_t>(keys);
  last.at = global<const uint32_t>(at);
  sink.launch(*function, {blocks}, last);
}

void plan_order(int64_t count, uint32_t dropped_key, ScatterLaunches& plan) {
  plan.keys_bytes = rounded_bytes(static_cast<size_t>(count) * sizeof(uint32_t));
  plan.sorts_in_block = count <= kSortBlockLine;
  if (plan.sorts_in_block) {
    SortBlockArgs& sort = plan.sort;
    sort.count = sort.lines_per_block = 1;
    sort.stride = sort.out_stride = 1;
    sort.length = static_cast<int32_t>(count);
    sort.capacity = static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(count)));
    sort.element_bytes = sizeof(uint32_t);
    sort.type = ElementType::kU32;
  } else {
    int digits = 1;
    while (digits < 4 && dropped_key >> (8 * digits) != 0) ++digits;
    plan.radix = RadixPlan(1, count, sizeof(uint32_t), digits);
  }
}

template <bool kReplaces>
std::unique_ptr<Kernel> prepare_scatter(const KernelRequest& request, std::string& reason) {
  const OperandView &indices = request.inputs[1], &from = request.inputs[2];
  const OperandView& y = request.outputs[0];
  const ScatterParams& p = request.params.as<ScatterParams>();
  const ScatterShape shape(request);
  ScatterLaunches plan;
  plan.operand_bytes = static_cast<size_t>(element_count(y.shape)) * size_of(y.dtype);
  ScatterTargetsArgs& targets = plan.targets;
  if (!fill_vectors(indices, y, y.strides, shape.window_sizes, p.scatter_dims_to_operand_dims,
                    p.mode == ScatterMode::kDrop, targets.vectors)) {
    reason = "index vectors of more than 6 numbers, or windows of nothing";
    return nullptr;
  }
  const int64_t width = 16 / static_cast<int64_t>(size_of(y.dtype));
  ScatterArgs& args = plan.scatter;
  Dimensions<2> window = merged(shape.window);
  args.packed = packs_windows(request, shape, targets.vectors, width);
  int64_t window_count = count_of(window);
  if (args.packed) {
    window.back() = {window.back().size / width, {width, width}};
    window_count /= width;
  }
  Dimensions<2> to;
  Dimensions<1> starts;
  for (const Dimension<3>& d : shape.updates) {
    to.push_back({d.size, {d.stride[0], d.stride[1]}});
    starts.push_back({d.size, {d.stride[2]}});
  }
  const auto walk = walk_of(merged(to));
  const auto start_walk = walk_of(merged(starts));
  const auto window_walk = walk_of(merged(window));
  const int64_t granule = granule_of(shape, targets.vectors);
  const int64_t keys = element_count(y.shape) / granule + 1;
  if (!walk || !start_walk || !window_walk || keys >= int64_t{1} << 32) {
    reason = keys >= int64_t{1} << 32 ? "more than 2^32 targets" : kTooManyDimensions;
    return nullptr;
  }
  targets.updates = *walk;
  if (granule > 1) targets.granule = PositionDivisor(granule);
  targets.count = args.count = count_of(shape.updates);
  targets.dropped_key = args.dropped_key = static_cast<uint32_t>(keys);
  targets.ordered = args.ordered = shape.meets;
  args.from = *start_walk;
  args.window = *window_walk;
  if (window_count > 1) args.window_count = PositionDivisor(window_count);
  args.kind = y.dtype == DType::kBool ? Fold::kMax : Fold::kSum;
  args.replaces = kReplaces;
  if (args.ordered) plan_order(args.count, args.dropped_key, plan);
  plan.targets_bytes = rounded_bytes(static_cast<size_t>(args.count) * sizeof(int64_t));
  plan.target_blocks = blocks_for(args.count, kScatterThreads);
  plan.blocks =
      element_count(from.shape) == 0 ? 0 : blocks_for(args.count * window_count, kScatterThreads);
  plan.function = &scatter_function(y.dtype, kReplaces);
  return make_device_kernel([plan](LaunchSink& sink, Operands in, Operands out,
                                   Address workspace) { plan.emit(sink, in, out, workspace); },
                            plan.workspace_bytes());
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
  add_scatter(scatter_add_primitive(), prepare_scatter<false>);
  add_scatter(scatter_primitive(), prepare_scatter<true>);
}

}  // namespace linnet::cuda
