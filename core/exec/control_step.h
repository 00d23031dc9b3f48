// Private: loops and branches as steps of a program. Their bodies are programs by addresses: they
// run on the memory of the program around them, so that a turn allocates, copies and looks up
// nothing.
#pragma once

#include <memory>
#include <span>

#include "core/graph/graph.h"
#include "linnet/back_end.h"

namespace linnet {

class ControlStep {
 public:
  virtual ~ControlStep() = default;

  /// Memory on the device, and host memory, that a run needs.
  size_t workspace_bytes() const { return workspace_bytes_; }
  size_t words() const { return words_; }

  /// Whether it holds steps that may fail.
  bool may_throw() const { return may_throw_; }

  /// Addresses are those of the program around; `words` is the step's own.
  struct Run {
    std::span<const Address> inputs, outputs;
    Address workspace;
    const uint64_t* bases;
    uint64_t* words;
    uint64_t input(size_t i) const { return inputs[i].resolve(bases); }
    uint64_t output(size_t k) const { return outputs[k].resolve(bases); }
  };
  virtual void run(const Run& run) const = 0;

 protected:
  /// @return the offset of so many bytes in the workspace.
  size_t reserve(size_t bytes, size_t alignment) {
    const size_t offset = (workspace_bytes_ + alignment - 1) / alignment * alignment;
    workspace_bytes_ = offset + bytes;
    return offset;
  }
  size_t workspace_bytes_ = 0, words_ = 0;
  bool may_throw_ = false;
};

/// For a node that holds programs, or null if it is evaluated some other way. `node` must outlive
/// the step. Operands and results are dense.
/// @param alignment of the addresses of all operands and results.
std::shared_ptr<const ControlStep> make_control_step(const Graph::Node& node, Device device,
                                                     size_t alignment, bool reuse_memory);

}  // namespace linnet
