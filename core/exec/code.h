// Private: the steps of a program over bases, whoever provides the memory: a call of the whole
// program (plan.h), or a loop or branch that it is the body of (control_step.h).
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/exec/lowering.h"
#include "core/exec/storage.h"
#include "linnet/back_end.h"

namespace linnet {

class Code {
 public:
  /// The bases of a run: null, so that the offset is the address; the arena; the inputs; the
  /// results. Words of scratch memory follow.
  static constexpr uint64_t kAbsolute = 0, kArena = 1, kFirstInput = 2;

  /// `graph` must outlive the code.
  /// @param memory_limit of the arena; 0: none. Memory that is not used again has none either.
  /// @throws DeviceError if the arena cannot be made as small as that.
  Code(const Graph& graph, const LoweringOptions& options, bool reuse_memory,
       size_t memory_limit = 0);

  void run(uint64_t* bases) const;

  const LoweredProgram& program() const { return program_; }
  const StoragePlan& storage() const { return storage_; }
  BackEnd& back_end() const { return back_end_; }
  Device device() const { return program_.device; }
  size_t base_count() const { return base_count_; }
  size_t input_count() const { return inputs_; }
  /// Host memory of a run: bases and scratch.
  size_t words() const { return base_count_ + scratch_words_; }
  /// Whether any step may fail.
  bool may_throw() const { return may_throw_; }
  /// Whether its kernels are those that the back end would prepare now.
  bool current() const { return back_end_.configuration() == configuration_; }

 private:
  /// Consecutive kernels, which the back end runs; or one step that holds programs; or one that is
  /// evaluated on tensors.
  struct Part {
    std::unique_ptr<ProgramRunner> runner = {};
    const LoweredStep* step = nullptr;
    std::span<const Address> inputs = {}, outputs = {};
    Address workspace = {};
    size_t first = 0, count = 0;  ///< of the runner, among the steps
  };

  Address address_of(const Place& place) const;
  Address address_of_block(int32_t block) const;
  std::span<const Address> add_addresses(const std::vector<Place>& places);
  void add_steps();
  const Kernel* kernel_of(const LoweredStep& step);
  void add_runner(size_t first);
  void run_part(const Part& part, uint64_t* bases) const;
  void run_traced(uint64_t* bases) const;
  const ProgramRunner& runner_of(size_t step) const;
  void run_control(const Part& part, uint64_t* bases) const;
  void evaluate_part(const Part& part, const uint64_t* bases) const;

  LoweredProgram program_;
  BackEnd& back_end_;
  uint64_t configuration_;
  StoragePlan storage_;
  size_t inputs_;
  std::vector<Address> addresses_;              // reserved at once: spans of it are kept
  std::vector<ProgramStep> steps_;              // likewise
  std::vector<std::unique_ptr<Kernel>> bound_;  ///< to the layouts of a step
  std::vector<const LoweredStep*> lowered_;     ///< of the steps
  /// One for each step, made when a trace first asks for it.
  mutable std::mutex traced_mutex_;
  mutable std::vector<std::unique_ptr<ProgramRunner>> traced_;
  std::vector<Part> parts_;
  size_t base_count_ = 0, scratch_words_ = 0;
  bool may_throw_ = false;
};

}  // namespace linnet
