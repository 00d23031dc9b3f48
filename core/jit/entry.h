// Private: what a compiled function keeps for one structure and one set of types of its arguments.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/trace/call.h"
#include "linnet/jit.h"

namespace linnet::detail {

struct JitCore::Entry {
  /// Where a program input beyond the arguments comes from.
  struct Source {
    Tensor tensor;                    ///< a captured tensor, or
    std::weak_ptr<state::Cell> cell;  ///< the `index`-th tensor of a captured variable
    size_t index = 0, count = 1;
  };
  /// A captured variable that the function writes; held weakly, as a program may outlive it.
  struct WrittenCell {
    std::weak_ptr<state::Cell> cell;
    size_t first = 0, count = 0;  ///< among the program's outputs
    bool tuple = false;
    bool made = false;  ///< by the function, which did not find it
  };

  ProgramPtr program;
  std::string name;  ///< of the function; may be empty
  size_t argument_leaves = 0;
  std::vector<Source> sources;
  size_t results = 0;
  /// For each tensor of each argument in order: the program output that replaces it, or -1.
  std::vector<std::vector<int64_t>> state_outputs;
  bool replaces = false;  ///< whether there is such a tensor
  /// For each argument: range of outputs with all its leaves, if its structure changed.
  std::vector<std::pair<size_t, size_t>> changed;
  std::vector<WrittenCell> cells;
  std::shared_ptr<const void> prototypes;
};

}  // namespace linnet::detail
