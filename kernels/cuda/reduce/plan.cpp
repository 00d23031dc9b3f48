#include "kernels/cuda/reduce/plan.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"

namespace linnet::cuda {
namespace {

/// Rows up to this length are a warp's.
constexpr int64_t kWarpRow = 1024;
/// Up to this many elements, a thread has a result of its own.
constexpr int64_t kThreadRow = 16;
/// Blocks that are enough for any device: parts of results are made to get as many. Like the least
/// size of a part it decides the order of summation, so that no device has a say in it.
constexpr int64_t kBlocks = 1024;
constexpr int64_t kRowPart = 16384, kColumnPart = 128;
constexpr int64_t kMostParts = 1024;

struct Loops {
  Dimensions<2> kept;     // strides in x and y
  Dimensions<1> reduced;  // strides in x
};

Loops loops_of(const OperandView& x, uint64_t axes_mask) {
  Loops loops;
  SmallVector<int64_t, 6> out_strides(x.shape.size());
  int64_t out_stride = 1;
  for (size_t i = x.shape.size(); i-- > 0;) {
    out_strides[i] = out_stride;
    if (((axes_mask >> i) & 1u) == 0) out_stride *= x.shape[i];
  }
  for (size_t i = 0; i < x.shape.size(); ++i) {
    if ((axes_mask >> i) & 1u)
      loops.reduced.push_back({x.shape[i], {x.strides[i]}});
    else
      loops.kept.push_back({x.shape[i], {x.strides[i], out_strides[i]}});
  }
  sort_by_stride(loops.kept, 0);
  sort_by_stride(loops.reduced, 0);
  return {merged(loops.kept), merged(loops.reduced)};
}

bool prefers_columns(const Loops& loops, const ReduceArgs& args) {
  if (loops.kept.empty()) return false;
  if (args.length <= kThreadRow) return true;
  const int64_t kept = std::abs(loops.kept.back().stride[0]);
  return kept != 0 && kept < std::abs(loops.reduced.back().stride[0]);
}

/// Elements of a pack, as reduce.cuh has them.
int64_t width_of(DType dtype) {
  const int64_t in_16_bytes = 16 / static_cast<int64_t>(size_of(dtype));
  return is_floating(dtype) ? in_16_bytes : std::min<int64_t>(in_16_bytes, 4);
}

/// Whether x can be read in packs along the innermost of `inner`, one of the two lists.
template <size_t kInner, size_t kOuter>
bool is_packed(const OperandView& x, const Dimensions<kInner>& inner,
               const Dimensions<kOuter>& outer) {
  const int64_t width = width_of(x.dtype);
  if (x.alignment < static_cast<size_t>(width) * size_of(x.dtype) || inner.empty() ||
      inner.back().stride[0] != 1)
    return false;
  return inner.back().size % width == 0 && keeps_packs(inner, 0, width, false) &&
         keeps_packs(outer, 0, width, true);
}

/// Cuts results into parts until there are blocks enough; a part is a multiple of `unit`.
void choose_parts(int64_t blocks, int64_t least, int64_t unit, ReduceArgs& args) {
  args.part = args.length;
  args.parts = 1;
  if (blocks == 0 || blocks >= kBlocks) return;
  const int64_t parts = std::min({kBlocks / blocks, args.length / least, kMostParts});
  if (parts <= 1) return;
  const int64_t each = (args.length + parts - 1) / parts;
  args.part = (each + unit - 1) / unit * unit;
  args.parts = static_cast<int32_t>((args.length + args.part - 1) / args.part);
}

StoreAs store_as(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return StoreAs::kBf16;
    case DType::kF16:
      return StoreAs::kHalf;
    default:
      return size_of(dtype) == 1   ? StoreAs::kByte
             : size_of(dtype) == 2 ? StoreAs::kTwoBytes
                                   : StoreAs::kElement;
  }
}

/// Rows of the partial results, in the order in which the first pass counts results.
void plan_second(const OperandView& x, Fold kind, const Dimensions<2>& kept, ReducePlan& plan) {
  Dimensions<2> rows = kept;
  int64_t stride = plan.first.parts;
  for (size_t i = rows.size(); i-- > 0;) {
    rows[i].stride[0] = stride;
    stride *= rows[i].size;
  }
  ReduceArgs& args = plan.second;
  args.kept = *walk_of(merged(rows));
  args.reduced = *walk_of(Dimensions<1>{{plan.first.parts, {1}}});
  args.results = plan.first.results;
  args.length = args.part = plan.first.parts;
  args.parts = 1;
  args.row_lanes = 32;
  args.kind = kind;
  args.store = store_as(x.dtype);
  args.packed = false;
  plan.second_blocks = blocks_for(args.results, kReduceThreads / 32);
  plan.first.store = StoreAs::kAccumulator;
  plan.workspace_bytes =
      static_cast<size_t>(args.results * args.length) * size_of(accumulator_dtype(x.dtype));
}

}  // namespace

Fold fold_of(DType dtype, Fold kind) {
  if (dtype != DType::kBool) return kind;
  return kind == Fold::kSum || kind == Fold::kMax ? Fold::kMax : Fold::kProd;
}

DType accumulator_dtype(DType dtype) {
  if (dtype == DType::kBF16 || dtype == DType::kF16) return DType::kF32;
  if (size_of(dtype) >= 4) return dtype;
  return is_signed_integer(dtype) ? DType::kI32 : DType::kU32;
}

std::optional<ReducePlan> plan_reduction(const OperandView& x, uint64_t axes_mask, Fold kind) {
  const Loops loops = loops_of(x, axes_mask);
  const auto kept = walk_of(loops.kept);
  const auto reduced = walk_of(loops.reduced);
  if (!kept || !reduced) return {};
  ReducePlan plan;
  ReduceArgs& args = plan.first;
  args.kept = *kept;
  args.reduced = *reduced;
  args.results = count_of(loops.kept);
  args.length = count_of(loops.reduced);
  args.kind = kind;
  args.store = StoreAs::kElement;
  plan.by_columns = prefers_columns(loops, args);
  const int64_t width = width_of(x.dtype);
  if (plan.by_columns) {
    args.packed = is_packed(x, loops.kept, loops.reduced);
    args.groups = args.length <= kThreadRow ? 1 : kReduceThreads / 32;
    const int64_t per_block = kReduceThreads / args.groups * (args.packed ? width : 1);
    plan.blocks = blocks_for(args.results, per_block);
    choose_parts(plan.blocks, kColumnPart, args.groups, args);
  } else {
    args.packed = is_packed(x, loops.reduced, loops.kept);
    args.row_lanes = args.length <= kWarpRow ? 32 : kReduceThreads;
    plan.blocks = blocks_for(args.results, args.row_lanes == 32 ? kReduceThreads / 32 : 1);
    choose_parts(args.row_lanes == 32 ? kBlocks : plan.blocks, kRowPart, width, args);
  }
  if (args.parts > 1) plan_second(x, kind, loops.kept, plan);
  return plan;
}

}  // namespace linnet::cuda
