// Kernels of sorting.
#include "core/ops/sort.h"

#include <bit>

#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/sort/radix.h"
#include "kernels/cuda/sort/sort_args.h"

namespace linnet::cuda {
namespace {

const Function kBlock32("sort_block_32", kSortThreads), kBlock64("sort_block_64", kSortThreads);
const Function kKeys32("radix_keys_32", kSortThreads), kKeys64("radix_keys_64", kSortThreads);
const Function kFinish("radix_finish", kSortThreads);

/// Strides of the operand and of the result; the sorted axis apart.
struct SortLines {
  Dimensions<2> others;
  Dimension<2> axis;

  explicit SortLines(const KernelRequest& request) {
    const OperandView &x = request.inputs[0], &y = request.outputs[0];
    const size_t sorted =
        static_cast<size_t>(static_cast<int64_t>(request.params.as<SortParams>().axis));
    for (size_t i = 0; i < x.shape.size(); ++i) {
      const Dimension<2> here = {x.shape[i], {x.strides[i], y.strides[i]}};
      if (i == sorted)
        axis = here;
      else
        others.push_back(here);
    }
    others = merged(others);
  }
};

template <bool kPositions>
std::unique_ptr<Kernel> prepare_block(const KernelRequest& request, std::string& reason) {
  const SortLines lines(request);
  if (lines.axis.size > kSortBlockLine) {
    reason = "lines longer than 2048";
    return nullptr;
  }
  const auto walk = walk_of(lines.others);
  if (!walk) {
    reason = kTooManyDimensions;
    return nullptr;
  }
  const DType dtype = request.inputs[0].dtype;
  SortBlockArgs args = {};
  args.lines = *walk;
  args.count = count_of(lines.others);
  args.stride = lines.axis.stride[0];
  args.out_stride = lines.axis.stride[1];
  args.length = static_cast<int32_t>(lines.axis.size);
  args.capacity = static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(args.length)));
  // A pair for each thread.
  args.lines_per_block = std::max(1, 2 * kSortThreads / args.capacity);
  args.element_bytes = static_cast<int32_t>(size_of(dtype));
  args.type = element_type(dtype);
  args.positions = kPositions;
  const size_t key_bytes = size_of(dtype) == 8 ? 8 : 4;
  const uint32_t shared = static_cast<uint32_t>(
      static_cast<size_t>(args.lines_per_block * args.capacity) * (key_bytes + sizeof(uint32_t)));
  const uint32_t blocks = args.length == 0 ? 0 : blocks_for(args.count, args.lines_per_block);
  const Function& function = key_bytes == 8 ? kBlock64 : kBlock32;
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (blocks == 0) return;
    SortBlockArgs launched = args;
    launched.x = global<const void>(in[0]);
    launched.y = global<void>(out[0]);
    sink.launch(function, {blocks}, launched, shared);
  });
}

template <bool kPositions>
std::unique_ptr<Kernel> prepare_radix(const KernelRequest& request, std::string& reason) {
  const SortLines lines(request);
  Dimensions<2> elements = lines.others;
  elements.push_back(lines.axis);
  const auto walk = walk_of(merged(elements));
  if (!walk) {
    reason = kTooManyDimensions;
    return nullptr;
  }
  const DType dtype = request.inputs[0].dtype;
  const size_t key_bytes = size_of(dtype) == 8 ? 8 : 4;
  const int64_t count = count_of(elements);
  const RadixPlan plan(count_of(lines.others), lines.axis.size, key_bytes,
                       static_cast<int>(size_of(dtype)));
  RadixFinishArgs finish = {};
  finish.elements = *walk;
  finish.length = PositionDivisor(lines.axis.size);
  finish.count = count;
  finish.element_bytes = static_cast<int32_t>(size_of(dtype));
  finish.positions = kPositions;
  RadixKeysArgs keys = {};
  keys.elements.rank = walk->rank;
  for (int d = 0; d < walk->rank; ++d) {
    keys.elements.size[d] = walk->size[d];
    keys.elements.stride[0][d] = walk->stride[0][d];
  }
  keys.length = finish.length;
  keys.count = count;
  keys.type = element_type(dtype);
  const Function& make_keys = key_bytes == 8 ? kKeys64 : kKeys32;
  const uint32_t blocks = blocks_for(count, kSortThreads);
  const auto emit = [=, &make_keys](LaunchSink& sink, Operands in, Operands out,
                                    Address workspace) {
    if (blocks == 0) return;
    RadixKeysArgs first = keys;
    first.x = global<const void>(in[0]);
    first.keys = global<void>(plan.keys(workspace, 0));
    first.at = global<uint32_t>(plan.at(workspace, 0));
    sink.launch(make_keys, {blocks}, first);
    plan.emit(sink, workspace);
    RadixFinishArgs last = finish;
    last.x = global<const void>(in[0]);
    last.y = global<void>(out[0]);
    last.at = global<const uint32_t>(plan.sorted_at(workspace));
    sink.launch(kFinish, {blocks}, last);
  };
  return make_device_kernel(emit, plan.workspace_bytes());
}

}  // namespace

void register_sort(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, const char* name, auto prepare) {
    table.add(primitive, {.name = name, .strided = true, .prepare = prepare, .never_throws = true});
  };
  add(sort_primitive(), "block", prepare_block<false>);
  add(sort_primitive(), "radix", prepare_radix<false>);
  add(argsort_primitive(), "block", prepare_block<true>);
  add(argsort_primitive(), "radix", prepare_radix<true>);
}

}  // namespace linnet::cuda
