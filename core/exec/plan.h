// Private: a program ready to run. Immutable: any number of threads may run it at the same time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/exec/code.h"

namespace linnet {

class Plan {
 public:
  /// @param output_types types of the results: their weak flags, and where they belong. `graph`
  /// must outlive the plan. @param memory_limit as that of `Code`.
  Plan(const Graph& graph, const TypeList& output_types, bool reuse_memory, size_t memory_limit);

  void run(TensorList& inputs, std::span<const uint8_t> donated,
           const std::function<void(const TensorList&)>& ready, TensorList& results) const;
  size_t arena_bytes() const { return code_.storage().arena_bytes; }
  const Code& code() const { return code_; }
  /// Whether its kernels are those that the back end would prepare now.
  bool current() const { return code_.current(); }

 private:
  class Call;

  TypeList output_types_;
  Code code_;
  bool moves_results_ = false;
};

}  // namespace linnet
