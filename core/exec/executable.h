// A compiled program: the optimised graph and what is needed to run it again and again.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/graph/graph.h"
#include "linnet/program_cost.h"

namespace linnet {

class Executable {
 public:
  virtual ~Executable() = default;
  /// Is told of the results (and perhaps of one more behind them) before they have values, once
  /// all memory is had: the last that may fail but for callbacks.
  using Ready = std::function<void(const TensorList& results)>;
  /// Runs on concrete tensors of the graph's input types (strided ones are accepted). Safe to call
  /// from several threads. Results are values: nothing a caller holds changes.
  /// @param results an empty list, for whose memory the caller cares.
  /// @param donated marks inputs whose memory may be re-used for results when `inputs` holds the
  ///        only reference; empty means none. If an exception is thrown, by `ready` too, inputs are
  ///        in place and have their values.
  /// @param known how many of the first inputs are known to have the types of the graph's.
  virtual void run(TensorList& inputs, std::span<const uint8_t> donated, const Ready& ready,
                   TensorList& results, size_t known = 0) const = 0;
  TensorList run(TensorList& inputs, std::span<const uint8_t> donated,
                 const Ready& ready = {}) const {
    TensorList results;
    run(inputs, donated, ready, results);
    return results;
  }
  TensorList run(TensorList&& inputs) const { return run(inputs, {}); }

  virtual const Graph& graph() const = 0;
  /// Bytes of the arena that intermediate values share.
  virtual size_t arena_bytes() const = 0;
  virtual ProgramCost cost() const = 0;
};

/// Optimises and prepares `graph`, which must outlive the result, for the device of its inputs.
/// @param memory_limit of its arena in bytes; 0: none.
/// @throws DeviceError if the arena cannot be made as small as that.
std::shared_ptr<const Executable> compile(const Graph& graph, size_t memory_limit = 0);

}  // namespace linnet
