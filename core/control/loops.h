// Private: the primitives behind loops and branches, and how their operands are arranged.
#pragma once

#include "core/control/bodies.h"

namespace linnet {

/// Operands: constants, carry, sequences. Body: (constants, carry, elements) -> (carry, elements to
/// be stacked). Results: the last carry, then what was stacked.
struct ScanParams {
  ProgramPtr body;
  int64_t length = 0, constants = 0, carries = 0;
  bool reverse = false;
  int64_t unroll = 1;
  LINNET_FIELDS(body, length, constants, carries, reverse, unroll)
};
const Primitive& scan_primitive();

/// Operands: constants of the condition, constants of the body, carry. Condition: (its constants,
/// carry) -> bool. Body: (its constants, carry) -> carry.
struct WhileParams {
  ProgramPtr condition, body;
  int64_t condition_constants = 0, body_constants = 0;
  LINNET_FIELDS(condition, body, condition_constants, body_constants)
};
const Primitive& while_primitive();

/// Operands: the number of the branch (int32, within bounds), then those of every branch.
struct CondParams {
  std::vector<ProgramPtr> branches;
  LINNET_FIELDS(branches)
};
const Primitive& cond_primitive();

/// Inputs of a graph in another order; -1 stands for a new one that nothing reads, whose types are
/// taken from `unread`, one after the other.
Graph rearranged(const Graph& graph, const std::vector<int64_t>& inputs,
                 const std::vector<int64_t>& outputs, const TypeList& unread = {});

}  // namespace linnet
