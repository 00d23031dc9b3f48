// A compiled program: the optimised graph and what is needed to run it again and again.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/graph/graph.h"

namespace linnet {

class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs on concrete tensors of the graph's input types (strided ones are accepted). Safe to call
  /// from several threads. Results are values: nothing a caller holds changes.
  /// @param donated marks inputs whose memory may be re-used for results when `inputs` holds the
  ///        only reference; empty means none. Inputs are left in place if an exception is thrown.
  virtual TensorList run(TensorList& inputs, std::span<const uint8_t> donated) const = 0;
  TensorList run(TensorList&& inputs) const { return run(inputs, {}); }

  virtual const Graph& graph() const = 0;
  /// Bytes of the arena that intermediate values share.
  virtual size_t arena_bytes() const = 0;
};

/// Optimises and prepares `graph` for the device of its inputs.
std::shared_ptr<const Executable> compile(const Graph& graph);

}  // namespace linnet
