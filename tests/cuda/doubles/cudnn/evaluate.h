// Queues the evaluation of an operation graph.
#pragma once

#include <memory>

#include "cuda/doubles/cudnn/descriptor.h"

namespace linnet::fake_cudnn {

/// The addresses of a variant pack must be all that the graph needs, aligned as its tensors say,
/// the workspace as large as the plan's. Numbers that are given by value are read now, the rest
/// late.
/// @throws std::runtime_error with the rule that does not hold.
void enqueue(void* stream, std::shared_ptr<const Snapshot> graph, bool rounds, const Snapshot& pack,
             int64_t workspace_bytes);

}  // namespace linnet::fake_cudnn
