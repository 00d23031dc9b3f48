// Optimiser steps over lists of tensors, and the sum of squares that clipping by the global norm
// takes: as many tensors in a launch as its parameters hold addresses.
#include "linnet/detail/optim.h"

#include <algorithm>
#include <vector>

#include "core/ops/reduce.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/optim/optim_args.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/register/row_kernels.h"

namespace linnet::cuda {
namespace {

struct ListKernel {
  Function function;
  DType dtype;
  int most;   ///< tensors of a launch
  int width;  ///< elements of an access
};
#define X(name, most, width) {Function(#name, kListThreads), DType::kF32, most, width},
const ListKernel kAdamW[] = {LINNET_ADAMW_KERNELS(X)};
#undef X
#define X(name, dtype, T, most) {Function(#name, kListThreads), DType::dtype, most, 1},
const ListKernel kSquares[] = {LINNET_SUM_OF_SQUARES_KERNELS(X)};
#undef X
const Function kFinishSquares("finish_sum_of_squares", 1024);

/// The shortest table that holds `count` tensors, or the longest.
const ListKernel& list_kernel(std::span<const ListKernel> kernels, DType dtype, size_t count,
                              int width) {
  const ListKernel* best = nullptr;
  for (const ListKernel& kernel : kernels) {
    if (kernel.dtype != dtype || kernel.width != width) continue;
    if (!best || static_cast<size_t>(best->most) < count) best = &kernel;
  }
  return *best;
}

/// A tensor that has elements, by its place in the lists.
struct ListTensor {
  size_t index;
  int64_t size;
};

int64_t blocks_of(const ListTensor& tensor) { return (tensor.size + kListBlock - 1) / kListBlock; }

/// The tensors from `first` on that one launch takes.
std::span<const ListTensor> next_launch(std::span<const ListTensor> tensors, int most) {
  size_t count = 0;
  int64_t blocks = 0;
  while (count < tensors.size() && count < static_cast<size_t>(most)) {
    blocks += blocks_of(tensors[count]);
    if (blocks > kMostBlocks && count > 0) break;
    ++count;
  }
  return tensors.first(count);
}

/// @return blocks of the launch
template <int most>
uint32_t fill(TensorTable<most>& table, std::span<const ListTensor> tensors) {
  int64_t blocks = 0;
  table.count = static_cast<int>(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    table.size[i] = tensors[i].size;
    table.first_block[i] = static_cast<int>(blocks);
    blocks += blocks_of(tensors[i]);
  }
  table.first_block[tensors.size()] = static_cast<int>(blocks);
  return static_cast<uint32_t>(blocks);
}

struct AdamW {
  std::vector<ListTensor> tensors;
  size_t count;  ///< of each list, empty ones too
  AdamWSettings settings;
  const ListKernel* kernel;

  template <int most>
  void launch(LaunchSink& sink, Operands in, Operands out, std::span<const ListTensor> part) const {
    AdamWArgs<most> args{};
    args.rate = global<const float>(in[0]);
    args.first_correction = global<const float>(in[1]);
    args.second_correction = global<const float>(in[2]);
    args.settings = settings;
    for (size_t i = 0; i < part.size(); ++i) {
      const size_t at = part[i].index;
      const auto operand = [&](size_t list) {
        return global<const float>(in[3 + list * count + at]);
      };
      const auto result = [&](size_t list) { return global<float>(out[list * count + at]); };
      args.tensors[i] = {operand(0), operand(1), operand(2), operand(3),
                         result(0),  result(1),  result(2)};
    }
    const uint32_t blocks = fill(args.table, part);
    sink.launch(kernel->function, {blocks}, args);
  }

  void emit(LaunchSink& sink, Operands in, Operands out) const {
    std::span<const ListTensor> left(tensors);
    while (!left.empty()) {
      const auto part = next_launch(left, kernel->most);
      if (kernel->most == kShortList)
        launch<kShortList>(sink, in, out, part);
      else
        launch<kLongAdamW>(sink, in, out, part);
      left = left.subspan(part.size());
    }
  }
};

std::string decline_adamw(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (x.dtype != DType::kF32) return "takes f32 only";
  }
  return {};
}

bool all_aligned(const KernelRequest& request) {
  const auto aligned = [](const OperandView& x) {
    return x.alignment >= 16 || element_count(x.shape) == 0;
  };
  return std::ranges::all_of(request.inputs.subspan(3), aligned) &&
         std::ranges::all_of(request.outputs, aligned);
}

std::unique_ptr<Kernel> prepare_adamw(const KernelRequest& request, std::string&) {
  const AdamWParams& p = request.params.as<AdamWParams>();
  AdamW step;
  step.count = static_cast<size_t>(p.count);
  for (size_t i = 0; i < step.count; ++i) {
    const int64_t size = element_count(request.inputs[3 + i].shape);
    if (size > 0) step.tensors.push_back({i, size});
  }
  const auto single = [](double x) { return static_cast<float>(x); };
  step.settings = {single(p.b1),          single(p.b2),      single(1 - p.b1),
                   single(1 - p.b2),      single(p.epsilon), single(p.epsilon_root),
                   single(p.weight_decay)};
  step.kernel =
      &list_kernel(kAdamW, DType::kF32, step.tensors.size(), all_aligned(request) ? 4 : 1);
  return make_device_kernel(
      [step](LaunchSink& sink, Operands in, Operands out, Address) { step.emit(sink, in, out); });
}

/// New parameters and moments may replace the old ones.
int in_place_adamw(const KernelRequest& request, size_t result) {
  const size_t n = static_cast<size_t>(request.params.as<AdamWParams>().count);
  return static_cast<int>(result < n ? 3 + result : 3 + n + result);
}

/// Tensors of one dtype that follow each other.
struct SquaresRun {
  const ListKernel* kernel;
  std::vector<ListTensor> tensors;
};

template <int most>
uint32_t launch_squares(LaunchSink& sink, const Function& function, Operands in, Address sums,
                        std::span<const ListTensor> part) {
  SumOfSquaresArgs<most> args{};
  args.sums = global<double>(sums);
  for (size_t i = 0; i < part.size(); ++i) args.tensors[i] = global<const void>(in[part[i].index]);
  const uint32_t blocks = fill(args.table, part);
  sink.launch(function, {blocks}, args);
  return blocks;
}

void emit_squares(const std::vector<SquaresRun>& runs, LaunchSink& sink, Operands in, Address out,
                  bool is_double, Address workspace) {
  int64_t done = 0;
  for (const SquaresRun& run : runs) {
    std::span<const ListTensor> left(run.tensors);
    while (!left.empty()) {
      const auto part = next_launch(left, run.kernel->most);
      const Address sums{workspace.word + static_cast<uint64_t>(done) * sizeof(double)};
      const auto launch = run.kernel->most == kShortList ? launch_squares<kShortList>
                                                         : launch_squares<kLongSquares>;
      done += launch(sink, run.kernel->function, in, sums, part);
      left = left.subspan(part.size());
    }
  }
  sink.launch(
      kFinishSquares, {1},
      FinishSumOfSquaresArgs{global<const double>(workspace), global<void>(out), done, is_double});
}

std::unique_ptr<Kernel> prepare_squares(const KernelRequest& request, std::string&) {
  std::vector<SquaresRun> runs;
  int64_t blocks = 0;
  DType dtype = DType::kBool;  // of the run
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const OperandView& x = request.inputs[i];
    const ListTensor tensor{i, element_count(x.shape)};
    if (tensor.size == 0) continue;
    if (x.dtype != dtype) runs.push_back({nullptr, {}});
    dtype = x.dtype;
    runs.back().tensors.push_back(tensor);
    runs.back().kernel = &list_kernel(kSquares, dtype, runs.back().tensors.size(), 1);
    blocks += blocks_of(tensor);
  }
  const bool is_double = request.outputs[0].dtype == DType::kF64;
  return make_device_kernel(
      [=](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        emit_squares(runs, sink, in, out[0], is_double, workspace);
      },
      static_cast<size_t>(blocks) * sizeof(double));
}

}  // namespace

void register_optim(KernelTable& table) {
  table.add(adamw_update_primitive(), {.name = "lists",
                                       .in_place = true,
                                       .in_place_operand = in_place_adamw,
                                       .decline = decline_adamw,
                                       .prepare = prepare_adamw,
                                       .never_throws = true});
  table.add(sum_of_squares_primitive(),
            {.name = "lists", .prepare = prepare_squares, .never_throws = true});
}

}  // namespace linnet::cuda
