#include "kernels/cuda/index/scatter_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/ops/indexing.h"
#include "kernels/cuda/index/plan.h"

namespace linnet::cuda {
namespace {

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
      if (contains_axis(p.inserted_window_dims, i) || contains_axis(p.operand_batching_dims, i)) {
        window_sizes.push_back(1);
        continue;
      }
      const size_t at = static_cast<size_t>(p.update_window_dims[next++]);
      window_sizes.push_back(from.shape[at]);
      window.push_back({from.shape[at], {y.strides[i], from.strides[at]}});
    }
    size_t batch = 0;
    for (size_t i = 0; i < from.shape.size(); ++i) {
      if (contains_axis(p.update_window_dims, i)) continue;
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

/// Extremes ask for signs; replacing takes words of any type.
const Function& scatter_function(DType dtype, Combine combine) {
  const int size = std::countr_zero(size_of(dtype));
  if (combine == Combine::kReplace || !is_floating(dtype)) {
    const bool signs = combine == Combine::kMin || combine == Combine::kMax;
    return kScatter[(signs && is_signed_integer(dtype) ? 8 : 4) + size];
  }
  return dtype == DType::kF32    ? kScatter[0]
         : dtype == DType::kBF16 ? kScatter[1]
         : dtype == DType::kF16  ? kScatter[2]
                                 : kScatter[3];
}

Fold fold_of(DType dtype, Combine combine) {
  switch (combine) {
    case Combine::kMultiply:
      return dtype == DType::kBool ? Fold::kMin : Fold::kProd;
    case Combine::kMin:
      return Fold::kMin;
    case Combine::kMax:
      return Fold::kMax;
    default:
      return dtype == DType::kBool ? Fold::kMax : Fold::kSum;
  }
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

void plan_order(int64_t count, uint32_t dropped_key, ScatterPlan& plan) {
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

/// Walks of updates and windows. False if there are too many dimensions.
bool fill_walks(const ScatterShape& shape, int64_t width, ScatterPlan& plan) {
  Dimensions<2> to, window = merged(shape.window);
  Dimensions<1> starts;
  for (const Dimension<3>& d : shape.updates) {
    to.push_back({d.size, {d.stride[0], d.stride[1]}});
    starts.push_back({d.size, {d.stride[2]}});
  }
  if (plan.scatter.packed) window.back() = {window.back().size / width, {width, width}};
  const int64_t window_count = count_of(window);
  if (window_count > 1) plan.scatter.window_count = PositionDivisor(window_count);
  const auto updates = walk_of(merged(to));
  const auto from = walk_of(merged(starts));
  const auto in_window = walk_of(merged(window));
  if (!updates || !from || !in_window) return false;
  plan.targets.updates = *updates;
  plan.scatter.from = *from;
  plan.scatter.window = *in_window;
  return true;
}

}  // namespace

void ScatterPlan::emit_block_sort(LaunchSink& sink, Address& keys, Address& at) const {
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

void ScatterPlan::emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const {
  if (in[0].word != out[0].word) sink.copy(out[0], in[0], operand_bytes);
  if (blocks == 0) return;
  const Address pairs = moved(workspace, targets_bytes);
  Address keys = pairs;
  Address at = sorts_in_block ? moved(pairs, keys_bytes) : radix.at(pairs, 0);
  ScatterTargetsArgs first = targets;
  // Index vectors without numbers have no memory.
  first.indices = global<const void>(first.vectors.components == 0 ? out[0] : in[1]);
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

std::optional<ScatterPlan> plan_scatter(const KernelRequest& request, Combine combine,
                                        std::string& reason) {
  const OperandView &from = request.inputs[2], &y = request.outputs[0];
  const ScatterParams& p = request.params.as<ScatterParams>();
  const ScatterShape shape(request);
  ScatterPlan plan;
  ScatterTargetsArgs& targets = plan.targets;
  ScatterArgs& args = plan.scatter;
  if (!fill_vectors(request.inputs[1], y, y.strides, shape.window_sizes,
                    p.scatter_dims_to_operand_dims, p.mode == ScatterMode::kDrop,
                    targets.vectors)) {
    reason = "index vectors of more than 6 numbers, or windows of nothing";
    return {};
  }
  const int64_t width = 16 / static_cast<int64_t>(size_of(y.dtype));
  args.packed = packs_windows(request, shape, targets.vectors, width);
  if (!fill_walks(shape, width, plan)) {
    reason = kTooManyDimensions;
    return {};
  }
  const int64_t granule = granule_of(shape, targets.vectors);
  const int64_t keys = element_count(y.shape) / granule + 1;
  targets.count = args.count = count_of(shape.updates);
  if (std::max(keys, args.count) >= int64_t{1} << 31) {
    reason = "more than 2^31 targets or updates";
    return {};
  }
  if (granule > 1) targets.granule = PositionDivisor(granule);
  targets.dropped_key = static_cast<uint32_t>(keys);
  targets.ordered = args.ordered = shape.meets;
  args.kind = fold_of(y.dtype, combine);
  args.replaces = combine == Combine::kReplace;
  if (args.ordered) plan_order(args.count, targets.dropped_key, plan);
  plan.operand_bytes = static_cast<size_t>(element_count(y.shape)) * size_of(y.dtype);
  plan.targets_bytes = rounded_bytes(static_cast<size_t>(args.count) * sizeof(int64_t));
  plan.target_blocks = blocks_for(args.count, kScatterThreads);
  if (element_count(from.shape) > 0)
    plan.blocks = blocks_for(args.count * args.window_count.size, kScatterThreads);
  plan.function = &scatter_function(y.dtype, combine);
  return plan;
}

}  // namespace linnet::cuda
