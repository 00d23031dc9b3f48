// How a scatter is launched: targets of updates, their order if some may be equal, the updates.
//
//   std::optional<ScatterPlan> plan = plan_scatter(request, Combine::kAdd, reason);
//   plan->emit(sink, in, out, workspace);
#pragma once

#include <optional>
#include <string>

#include "kernels/cuda/index/scatter_args.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/sort/radix.h"
#include "kernels/cuda/sort/sort_args.h"
#include "linnet/kernel.h"

namespace linnet::cuda {

/// What becomes of an element and the updates that meet there. The last of them replaces it.
enum class Combine : uint8_t { kReplace, kAdd, kMultiply, kMin, kMax };

/// The launches; their arguments lack addresses.
struct ScatterPlan {
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

/// None, with the reason, if no kernel takes the request.
std::optional<ScatterPlan> plan_scatter(const KernelRequest& request, Combine combine,
                                        std::string& reason);

}  // namespace linnet::cuda
