// Kernels of reductions, and of the arguments of extrema.
#include "core/ops/reduce.h"

#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/reduce/arg_reduce_args.h"
#include "kernels/cuda/reduce/plan.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {
namespace {

struct ReduceFunctions {
  Function rows, columns;
};
#define LINNET_FUNCTIONS(name)                     \
  {Function("reduce_rows_" #name, kReduceThreads), \
   Function("reduce_columns_" #name, kReduceThreads)},
#define LINNET_FIXED(name, T, kind) LINNET_FUNCTIONS(name)
#define LINNET_GIVEN(name, T) LINNET_FUNCTIONS(name)
const ReduceFunctions kFixed[] = {LINNET_REDUCE_FIXED(LINNET_FIXED)};
const ReduceFunctions kGiven[] = {LINNET_REDUCE_GIVEN(LINNET_GIVEN)};

const ReduceFunctions& functions_of(DType dtype, Fold kind) {
  const size_t number = number_of(dtype);
  if (number < 3 && (kind == Fold::kSum || kind == Fold::kMax))
    return kFixed[2 * number + (kind == Fold::kMax ? 1 : 0)];
  return kGiven[number];
}

uint64_t mask_of(const KernelRequest& request) {
  uint64_t mask = 0;
  for (int64_t axis : request.params.as<ReduceParams>().axes) mask |= uint64_t{1} << axis;
  return mask;
}

template <Fold kKind>
std::unique_ptr<Kernel> prepare_reduce(const KernelRequest& request, std::string& reason) {
  const OperandView& x = request.inputs[0];
  const Fold kind = fold_of(x.dtype, kKind);
  const std::optional<ReducePlan> plan = plan_reduction(x, mask_of(request), kind);
  if (!plan) {
    reason = kTooManyDimensions;
    return nullptr;
  }
  const ReduceFunctions& functions = functions_of(x.dtype, kind);
  const Function& first = plan->by_columns ? functions.columns : functions.rows;
  const Function& second = functions_of(accumulator_dtype(x.dtype), kind).rows;
  const auto emit = [plan = *plan, &first, &second](LaunchSink& sink, Operands in, Operands out,
                                                    Address workspace) {
    if (plan.blocks == 0) return;
    const bool two_passes = plan.first.parts > 1;
    ReduceArgs args = plan.first;
    // An operand without elements has no memory; nothing is read then.
    args.x = global<const void>(args.length == 0 ? out[0] : in[0]);
    args.y = global<void>(two_passes ? workspace : out[0]);
    sink.launch(first, {plan.blocks, static_cast<uint32_t>(args.parts)}, args);
    if (!two_passes) return;
    args = plan.second;
    args.x = global<const void>(workspace);
    args.y = global<void>(out[0]);
    sink.launch(second, {plan.second_blocks}, args);
  };
  return make_device_kernel(emit, plan->workspace_bytes);
}

#define LINNET_ARG_REDUCE(name, T) Function("arg_reduce_" #name, kArgReduceThreads),
const Function kArgReduce[] = {LINNET_ARG_REDUCE_KERNELS(LINNET_ARG_REDUCE)};

const Function& arg_function(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return kArgReduce[0];
    case DType::kBF16:
      return kArgReduce[1];
    case DType::kF16:
      return kArgReduce[2];
    default:
      return kArgReduce[3];
  }
}

template <bool kMaximum>
std::unique_ptr<Kernel> prepare_arg(const KernelRequest& request, std::string& reason) {
  const OperandView& x = request.inputs[0];
  const size_t axis = static_cast<size_t>(request.params.as<ArgReduceParams>().axis);
  Dimensions<1> lines;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    if (i != axis) lines.push_back({x.shape[i], {x.strides[i]}});
  }
  lines = merged(lines);
  const auto walk = walk_of(lines);
  if (!walk) {
    reason = kTooManyDimensions;
    return nullptr;
  }
  ArgReduceArgs args;
  args.lines = *walk;
  args.count = count_of(lines);
  args.length = x.shape[axis];
  args.stride = x.strides[axis];
  args.type = element_type(x.dtype);
  args.maximum = kMaximum;
  const int64_t neighbour = lines.empty() ? 0 : std::abs(lines.back().stride[0]);
  const bool by_columns = neighbour != 0 && neighbour < std::abs(args.stride);
  args.lanes = by_columns || args.length <= 8 ? 1 : args.length <= 1024 ? 32 : kArgReduceThreads;
  const uint32_t blocks = blocks_for(args.count, kArgReduceThreads / args.lanes);
  const Function& function = arg_function(x.dtype);
  return make_device_kernel(
      [=, &function](LaunchSink& sink, Operands in, Operands out, Address) mutable {
        if (blocks == 0) return;
        ArgReduceArgs launched = args;
        launched.x = global<const void>(in[0]);
        launched.y = global<int32_t>(out[0]);
        sink.launch(function, {blocks}, launched);
      });
}

}  // namespace

void register_reduce(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, const char* name, auto prepare) {
    table.add(primitive, {.name = name, .strided = true, .prepare = prepare, .never_throws = true});
  };
  constexpr const char* kName = "rows and columns";
  add(reduce_sum_primitive(), kName, prepare_reduce<Fold::kSum>);
  add(reduce_prod_primitive(), kName, prepare_reduce<Fold::kProd>);
  add(reduce_max_primitive(), kName, prepare_reduce<Fold::kMax>);
  add(reduce_min_primitive(), kName, prepare_reduce<Fold::kMin>);
  add(reduce_and_primitive(), kName, prepare_reduce<Fold::kMin>);
  add(reduce_or_primitive(), kName, prepare_reduce<Fold::kMax>);
  add(argmax_primitive(), "lines", prepare_arg<true>);
  add(argmin_primitive(), "lines", prepare_arg<false>);
}

}  // namespace linnet::cuda
