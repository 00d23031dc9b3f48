// Private: a program ready to run. Immutable: any number of threads may run it at the same time.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/exec/lowering.h"
#include "core/exec/storage.h"
#include "linnet/back_end.h"

namespace linnet {

class Plan {
 public:
  /// @param output_types types of the results: their weak flags, and where they belong. `graph`
  /// must outlive the plan.
  Plan(const Graph& graph, const TypeList& output_types, bool reuse_memory);

  TensorList run(TensorList& inputs, std::span<const uint8_t> donated) const;
  size_t arena_bytes() const { return storage_.arena_bytes; }
  /// Whether its kernels are those that the back end would prepare now.
  bool current() const { return back_end_.configuration() == configuration_; }

 private:
  class Call;

  /// Consecutive kernels, which the back end runs, or one step that is evaluated on tensors.
  struct Part {
    std::unique_ptr<ProgramRunner> runner = {};
    const LoweredStep* evaluated = nullptr;
    std::span<const Address> inputs = {}, outputs = {};  ///< of the evaluated step
  };
  // Bases: null, so that the offset is the address; the arena; the inputs; the results.
  static constexpr uint64_t kAbsolute = 0, kArena = 1, kFirstInput = 2;

  Address address_of(const Place& place) const;
  Address address_of_block(int32_t block) const;
  std::span<const Address> add_addresses(const std::vector<Place>& places);
  void add_steps();
  void add_runner(size_t first);

  const Graph& graph_;
  TypeList output_types_;
  LoweredProgram program_;
  BackEnd& back_end_;
  uint64_t configuration_;
  StoragePlan storage_;
  std::vector<Address> addresses_;  // reserved at once: spans of it are kept
  std::vector<ProgramStep> steps_;  // likewise
  std::vector<Part> parts_;
  size_t base_count_ = 0, scratch_words_ = 0;
  bool moves_results_ = false;
};

}  // namespace linnet
