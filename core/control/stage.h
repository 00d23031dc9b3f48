// Private: a function staged as a program. Outside tensors and variables that it reads become
// operands, new values of variables become results that are written outside afterwards.
//
//   const Staged staged = stage("checkpoint", inputs, f);
//   TensorList results = staged.finish(emit(primitive, staged.operands, Params{staged.program}));
#pragma once

#include <functional>
#include <map>

#include "core/trace/call.h"
#include "core/trace/graph_trace.h"
#include "linnet/state.h"

namespace linnet {

/// What a recording took from outside, and what it hands back.
struct Recorded {
  /// Where an operand beyond the given ones comes from.
  struct Source {
    Tensor value;         ///< as it was while recording
    state::CellPtr cell;  ///< the variable whose `index`-th tensor it is; null: a captured tensor
    size_t index = 0, count = 1;
  };
  /// A variable whose new value is among the results.
  struct Written {
    state::CellPtr cell;
    size_t first = 0, count = 0;
    bool tuple = false;
    bool made = false;  ///< inside, by the function
  };

  Graph graph;
  std::vector<Source> sources;  ///< of the program's inputs behind the given ones, in order
  std::vector<Written> written;
  size_t results = 0;  ///< of the function; new values of variables follow
  /// False if a captured tensor belongs to an enclosing transformation, so that the program is good
  /// for this one call only.
  bool reusable = true;
};

/// One recording.
class Stage {
 public:
  /// @param construct names the transformation in errors.
  explicit Stage(const char* construct) : construct_(construct) {}

  /// A given operand. All are made before `record`.
  Tensor input(const TensorType& type) { return trace_.input(type); }
  /// The value that a variable which is an argument has inside. It is not written outside.
  void preset(const state::CellPtr& cell, state::Value value);
  /// Runs `body`, which gives the function's results. Nothing that it writes leaves.
  Recorded record(const std::function<TensorList()>& body);

 private:
  class Scope;
  const char* construct_;
  GraphTrace trace_;
  std::map<const state::Cell*, state::Value> presets_;
};

/// A function staged for a control primitive.
struct Staged {
  ProgramPtr program;
  TensorList operands;  ///< the inputs, then what the function read outside
  size_t inputs = 0;
  Recorded recorded;  ///< without its graph

  /// Writes the variables; gives the function's own results.
  TensorList finish(TensorList results) const;
};
/// Stages `f` on the types of `inputs` under the current trace.
/// @throws ValueError for undefined inputs and results.
Staged stage(const char* construct, const TensorList& inputs,
             const std::function<TensorList(const TensorList&)>& f);

}  // namespace linnet
