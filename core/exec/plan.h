// Private: a program ready to run. Immutable: any number of threads may run it at the same time.
#pragma once

#include <span>

#include "core/exec/lowering.h"
#include "core/exec/storage.h"

namespace linnet {

class Plan {
 public:
  /// @param output_types types of the results, for their weak flags. `graph` must outlive the plan.
  Plan(const Graph& graph, const TypeList& output_types, bool reuse_memory);

  TensorList run(TensorList& inputs, std::span<const uint8_t> donated) const;
  size_t arena_bytes() const { return storage_.arena_bytes; }
  /// The number of threads its kernels were prepared for.
  int threads() const { return threads_; }

 private:
  class Call;

  /// An address, known up to one of the bases of a call.
  struct Address {
    uint32_t base;
    int64_t offset;
  };
  /// Everything the run loop needs of a step; the numbers index the addresses.
  struct Step {
    const Kernel* prepared = nullptr;
    void (*run)(const KernelRequest&, const void* const*, void* const*) = nullptr;
    const KernelRequest* request = nullptr;
    uint32_t inputs = 0, outputs = 0, workspace = 0;
    const LoweredStep* evaluated = nullptr;
  };
  // Bases: null, so that the offset is the address; the arena; the inputs; the results.
  static constexpr uint32_t kAbsolute = 0, kArena = 1, kFirstInput = 2;

  Address address_of(const Place& place) const;
  Address address_of_block(int32_t block) const;
  void add_step(size_t index);
  bool is_handle(const OutputStorage& output) const { return output.owner < 0; }

  const Graph& graph_;
  TypeList output_types_;
  int threads_;
  LoweredProgram program_;
  StoragePlan storage_;
  std::vector<Step> steps_;
  std::vector<Address> addresses_;
  size_t base_count_ = 0;
};

}  // namespace linnet
