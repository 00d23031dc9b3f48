// The kinds of variables that hold an optimiser's state.
//
//   nnx::State means = nnx::state(optimizer, nnx::of_type<optim::OptVariable>());
#pragma once

#include "linnet/nnx/variable.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// State of an optimiser that belongs to one parameter, such as a mean of its gradients: it has the
/// parameter's metadata, with `optimizer_sharding` as its `out_sharding` (N-141).
class OptVariable : public nnx::VariableOf<OptVariable, nnx::OptState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
/// Any other state of an optimiser, such as a count of steps.
class OptArray : public nnx::VariableOf<OptArray, nnx::OptState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};

}  // namespace linnet::optim

#pragma GCC visibility pop
