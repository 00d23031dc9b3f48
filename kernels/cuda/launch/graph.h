// Runs the records of a program as one graph of the driver, which starts them all in one call.
#pragma once

#include <cuda.h>

#include <vector>

#include "kernels/cuda/launch/runner.h"

namespace linnet::cuda {

/// A graph of records in their order. Its addresses are those of one call; before the next they are
/// changed where they differ. Used under the device's lock.
class RecordGraph {
 public:
  /// @param scratch as for `enqueue`.
  /// @returns null if the driver does not take it: the records are enqueued then.
  static std::unique_ptr<RecordGraph> make(const Gpu& gpu, std::span<const Record> records,
                                           std::span<const uint64_t> bases, uint64_t* scratch);
  ~RecordGraph();
  RecordGraph(const RecordGraph&) = delete;
  RecordGraph& operator=(const RecordGraph&) = delete;

  /// Brings its addresses up to date and starts it.
  /// @returns false, and has started nothing, if the driver refuses.
  bool run(std::span<const uint64_t> bases, uint64_t* scratch);

 private:
  RecordGraph(const Gpu& gpu, std::span<const Record> records) : gpu_(gpu), records_(records) {}
  bool build(std::span<const uint64_t> bases, uint64_t* scratch);
  CUresult add(const Record& record, const uint64_t* bases, uint64_t* scratch);
  CUresult add_launch(const Record& record, CUgraphNode before, CUgraphNode* node,
                      const uint64_t* bases, uint64_t* scratch);
  CUresult add_library(const Record& record, CUgraphNode before, CUgraphNode* node,
                       const uint64_t* bases, uint64_t* scratch);
  CUresult update(size_t record, const uint64_t* bases, uint64_t* scratch);
  bool update_all(std::span<const uint64_t> bases, uint64_t* scratch);
  CUresult capture(const Record& record, const uint64_t* bases, uint64_t* scratch, CUgraph* graph);
  void note_users(size_t record);
  void count_run() const;

  const Gpu& gpu_;
  std::span<const Record> records_;
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  std::vector<CUgraphNode> nodes_;            ///< of each record; null if it does nothing
  std::vector<uint64_t> bases_;               ///< of the last run
  std::vector<std::vector<uint32_t>> users_;  ///< records that use a base
  std::vector<bool> stale_;                   ///< records that are to be updated
  uint64_t launches_ = 0, library_calls_ = 0, host_kernels_ = 0, copies_ = 0;
};

/// Enqueues the records in the first run, which libraries use to choose their kernels, and starts
/// them as a graph from the second on.
class GraphRunner final : public ProgramRunner {
 public:
  GraphRunner(Gpu& gpu, std::span<const ProgramStep> steps);
  size_t scratch_words() const override { return list_.scratch_words(); }
  void run(std::span<const uint64_t> bases, uint64_t* scratch) const override;

 private:
  enum class State : uint8_t { kFresh, kRanOnce, kGraph, kListOnly };
  bool run_graph(std::span<const uint64_t> bases, uint64_t* scratch) const;

  Gpu& gpu_;
  ListRunner list_;
  // Under the device's lock.
  mutable State state_ = State::kFresh;
  mutable int failures_ = 0;  ///< in a row
  mutable std::unique_ptr<RecordGraph> graph_;
};

/// Whether programs run as graphs: unless LINNET_CUDA_GRAPHS is 0. Asked when a program is made.
bool graphs_wanted();

}  // namespace linnet::cuda
