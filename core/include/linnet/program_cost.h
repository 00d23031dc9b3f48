// What one run of a compiled program costs, from its form alone: pieces of work, bytes, operations,
// memory. Nothing is executed and no value is needed, so that programs can be judged whose state
// would not fit into this machine's memory.
//
//   const auto make = [](nnx::Rngs& rngs) { return Model(rngs); };
//   Model model = nnx::eval_shape(make, rngs);                       // types, no values
//   const ProgramCost cost = step.lower(model, batch).cost();
//   cost.bytes(); cost.work.size(); cost.arena_bytes;
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "linnet/device.h"
#include "linnet/dtype.h"

#pragma GCC visibility push(default)

namespace linnet {

/// One piece of work: a launch, a call of a library, a copy, a fill. On the host: one kernel.
struct WorkCost {
  /// `kStep`: a loop, a branch, or what is evaluated as a whole, counted once whatever it does.
  enum class Kind : uint8_t { kLaunch, kLibrary, kCopy, kFill, kStep };
  Kind kind = Kind::kLaunch;
  std::string operation = {};  ///< the primitive
  std::string kernel = {};     ///< the implementation that was chosen
  std::string path = {};       ///< module path under which it was emitted
  DType dtype = DType::kF32;   ///< of the first operand
  /// Each operand that it reads and each result that it writes once, as far as it touches them, and
  /// what passes through scratch memory. Not what a library moves beyond its operands.
  double bytes = 0;
  /// Additions and multiplications of products, convolutions and attention (causal: half); 0 of
  /// anything else.
  double flops = 0;
};

struct ProgramCost {
  Device device = {};
  std::vector<WorkCost> work = {};
  size_t arena_bytes = 0;   ///< intermediate values and scratch memory
  size_t live_bytes = 0;    ///< the most of it that is in use at one time: no plan needs less
  size_t input_bytes = 0;   ///< and constants
  size_t result_bytes = 0;  ///< results that cannot take the memory of a donated input

  double bytes() const {
    double sum = 0;
    for (const WorkCost& each : work) sum += each.bytes;
    return sum;
  }
  double flops() const {
    double sum = 0;
    for (const WorkCost& each : work) sum += each.flops;
    return sum;
  }
  /// Device memory while it runs, if all that can be donated is.
  size_t memory_bytes() const { return arena_bytes + input_bytes + result_bytes; }
};

}  // namespace linnet

#pragma GCC visibility pop
