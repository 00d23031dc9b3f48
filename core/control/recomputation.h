// Private: the forward pass of a checkpointed program, and what the backward pass computes again.
#pragma once

#include <vector>

#include "core/trace/call.h"
#include "linnet/checkpoint_policy.h"

namespace linnet {

/// A program cut in three. What both passes need is computed twice, but for what is kept.
struct Recomputation {
  /// Operands -> results, kept values.
  ProgramPtr forward;
  /// Operands, kept values -> what the backward part reads.
  ProgramPtr again;
  /// What `again` gives, cotangents of the floating results -> cotangents of the active operands.
  ProgramPtr backward;
};

/// Keeps of the values that the backward part reads, directly or to compute others that it reads,
/// those that the policy allows.
Recomputation recomputation_of(const ProgramPtr& program, const std::vector<uint8_t>& active,
                               const CheckpointPolicy& policy);

}  // namespace linnet
