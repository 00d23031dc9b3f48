#include "kernels/cuda/cudnn/attention_extras.h"

#include <algorithm>

#include "kernels/cpu/attention/attention.h"
#include "kernels/cuda/attention/attention_args.h"
#include "kernels/cuda/copy/layout.h"
#include "kernels/cuda/launch/typed_kernel.h"
#include "kernels/cuda/random/random_args.h"
#include "kernels/cuda/random/threshold.h"

namespace linnet::cuda::cudnn {
namespace {

constexpr size_t kNowhere = ScoresOperands::kNowhere;

#define RESULT(name, dtype, T, Result) {Function(#name, kAttentionThreads), DType::dtype},
#define TYPED(name, dtype, T) {Function(#name, kAttentionThreads), DType::dtype},
#define RANDOM(name, dtype, T) {Function(#name, kRandomThreads), DType::dtype},
const TypedKernel kBias[] = {LINNET_ATTENTION_BIAS_KERNELS(RESULT)};
const TypedKernel kEmptyRows[] = {LINNET_EMPTY_ROWS_KERNELS(TYPED)};
const TypedKernel kEmptyRowsBackward[] = {LINNET_EMPTY_ROWS_BACKWARD_KERNELS(TYPED)};
const TypedKernel kFactors[] = {LINNET_DROPOUT_FACTORS_KERNELS(RANDOM)};
#undef RESULT
#undef TYPED
#undef RANDOM
const Function kVisibleRows("attention_visible_rows", kAttentionThreads);

/// Zero along dimensions of size one.
std::array<int64_t, 4> repeated_strides(const OperandView& x) {
  std::array<int64_t, 4> out{};
  for (size_t d = 0; d < 4; ++d) out[d] = x.shape[d] == 1 ? 0 : x.strides[d];
  return out;
}

/// How a batch shares the factors of dropout.
struct FactorsLayout {
  int64_t keys, of_key;  ///< factors of one key
  Shape shape;
};

FactorsLayout factors_layout(const AttentionParams& p, const KernelRequest& request,
                             const ScoresOperands& operands) {
  const OperandView &q = request.inputs[0], &k = request.inputs[1];
  const int64_t keys = request.inputs[operands.keys].shape[0];
  const int64_t batch = p.broadcast_dropout ? 1 : p.batch_per_key;
  const int64_t heads = p.broadcast_dropout ? 1 : q.shape[2];
  const int64_t q_length = q.shape[1], kv_length = k.shape[1];
  return {keys, batch * heads * q_length * kv_length, {keys * batch, heads, q_length, kv_length}};
}

AttentionRows rows_of(const KernelRequest& request, const AttentionParams& p, size_t factors) {
  const OperandView &q = request.inputs[0], &k = request.inputs[1];
  AttentionRows rows{};
  rows.batch = static_cast<int>(q.shape[0]);
  rows.q_length = static_cast<int>(q.shape[1]);
  rows.heads = static_cast<int>(q.shape[2]);
  rows.group = static_cast<int>(q.shape[2] / k.shape[2]);
  rows.kv_length = static_cast<int>(k.shape[1]);
  rows.size = static_cast<int>(request.inputs[2].shape[3]);
  const double share = p.dropout_rate < 1 ? 1 - p.dropout_rate : 1;
  rows.weight = static_cast<float>(1 / (share * static_cast<double>(rows.kv_length)));
  if (factors == kNowhere) return rows;
  const auto strides = repeated_strides(request.inputs[factors]);
  rows.factors_batch = strides[0];
  rows.factors_head = strides[1];
  return rows;
}

/// Blocks for warps that have `length` rows of each matrix among them.
uint32_t blocks_of_warps(int64_t matrices, int64_t length) {
  return blocks_for(matrices * ((length + kRowsPerWarp - 1) / kRowsPerWarp),
                    kAttentionThreads / 32);
}

}  // namespace

ScoresOperands::ScoresOperands(const AttentionParams& p, size_t first) {
  if (p.has_bias) bias = first++;
  if (p.has_mask) mask = first++;
  if (p.dropout_rate > 0) keys = first;
}

std::string decline_dropout(const AttentionParams& p, const KernelRequest& request,
                            const ScoresOperands& operands) {
  if (p.dropout_rate == 0) return {};
  if (p.layout != random::Layout::kPartitionable) return "dropout in the older layout of bits";
  if (p.broadcast_dropout && p.batch_per_key != 1 && request.inputs[operands.keys].shape[0] != 1)
    return "dropout with several keys, each for several elements of the batch at once";
  return {};
}

size_t add_masked_bias(MadeOperands& made, const KernelRequest& request,
                       const ScoresOperands& operands) {
  const OperandView& mask = request.inputs[operands.mask];
  const bool has_bias = operands.bias != kNowhere;
  const OperandView& bias = request.inputs[has_bias ? operands.bias : operands.mask];
  Shape shape(mask.shape.begin(), mask.shape.end());
  for (size_t d = 0; d < 4; ++d) shape[d] = std::max(shape[d], bias.shape[d]);
  shape[3] = request.inputs[1].shape[1];
  const auto of_mask = repeated_strides(mask);
  const auto of_bias = has_bias ? repeated_strides(bias) : std::array<int64_t, 4>{};
  const int64_t* const strides[] = {of_mask.data(), of_bias.data()};
  const cpu::StridedSpace space(shape, strides);
  const DType dtype = request.inputs[0].dtype;
  const DType result = dtype == DType::kBF16 ? DType::kBF16 : DType::kF32;
  const auto parts = parts_of(walk_of<2>(space, {1, static_cast<int64_t>(size_of(bias.dtype))}));
  const Function& function = function_for(kBias, dtype);
  const auto make = [=, &function](LaunchSink& sink, Operands in, Address to) {
    for (const WalkPart<2>& part : parts) {
      AttentionBiasArgs args{};
      args.mask = {in[operands.mask].word + static_cast<uint64_t>(part.offsets[0])};
      if (has_bias) args.bias = {in[operands.bias].word + static_cast<uint64_t>(part.offsets[1])};
      args.y = {to.word + static_cast<uint64_t>(part.first) * size_of(result)};
      args.space = part.space;
      sink.launch(function, {blocks_for(part.space.count, kBiasPerThread * kAttentionThreads)},
                  args);
    }
  };
  return made.add(result, shape, make);
}

size_t add_dropout_factors(MadeOperands& made, const KernelRequest& request,
                           const AttentionParams& p, const ScoresOperands& operands) {
  const FactorsLayout layout = factors_layout(p, request, operands);
  const DType dtype = request.inputs[0].dtype;
  const Function& function = function_for(kFactors, dtype);
  const auto make = [=, &function, threshold = dropout_threshold(p.dropout_rate)](
                        LaunchSink& sink, Operands in, Address to) {
    sink.launch(
        function,
        {blocks_for(layout.keys * layout.of_key, int64_t{kRandomThreads} * kRandomPerThread)},
        DropoutFactorsArgs{global<const unsigned>(in[operands.keys]), global<void>(to), layout.keys,
                           layout.of_key, threshold});
  };
  return made.add(dtype, layout.shape, make);
}

size_t add_visible_rows(MadeOperands& made, const KernelRequest& request) {
  const OperandView& log_sum_exp = request.inputs[4];
  const int64_t count = element_count(log_sum_exp.shape);
  const auto make = [=](LaunchSink& sink, Operands in, Address to) {
    sink.launch(kVisibleRows, {blocks_for(count, kAttentionThreads)},
                VisibleRowsArgs{global<const float>(in[4]), global<float>(to), count,
                                0.5f * cpu::kMaskedScore});
  };
  return made.add(log_sum_exp.dtype, Shape(log_sum_exp.shape.begin(), log_sum_exp.shape.end()),
                  make);
}

Emit empty_rows(const KernelRequest& request, const AttentionParams& p, size_t factors) {
  EmptyRowsArgs args{};
  args.rows = rows_of(request, p, factors);
  args.rows.limit = 0.5f * kMaskedBias;
  args.masked_score = cpu::kMaskedScore;
  const Function& function = function_for(kEmptyRows, request.inputs[0].dtype);
  return [=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    EmptyRowsArgs now = args;
    now.v = global<const void>(in[2]);
    if (factors != kNowhere) now.factors = global<const void>(in[factors]);
    now.y = global<void>(out[0]);
    now.log_sum_exp = global<float>(out[1]);
    const int64_t matrices = int64_t{args.rows.batch} * args.rows.heads;
    sink.launch(function, {blocks_of_warps(matrices, args.rows.q_length)}, now);
  };
}

Emit empty_rows_backward(const KernelRequest& request, const AttentionParams& p, size_t factors) {
  EmptyRowsBackwardArgs args{};
  args.rows = rows_of(request, p, factors);
  args.rows.limit = 0.5f * cpu::kMaskedScore;
  const Function& function = function_for(kEmptyRowsBackward, request.inputs[0].dtype);
  return [=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    EmptyRowsBackwardArgs now = args;
    now.dy = global<const void>(in[5]);
    if (factors != kNowhere) now.factors = global<const void>(in[factors]);
    now.dv = global<void>(out[2]);
    now.log_sum_exp = global<const float>(in[4]);
    const int64_t matrices = int64_t{args.rows.batch} * (args.rows.heads / args.rows.group);
    sink.launch(function, {blocks_of_warps(matrices, args.rows.kv_length)}, now);
  };
}

}  // namespace linnet::cuda::cudnn
