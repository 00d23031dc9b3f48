// States as plain maps of tensors by path, which is what files hold, and back.
//
//   nnx::PureDict saved = nnx::to_pure_dict(nnx::state(model));     // "blocks/0/kernel" -> tensor
//   …
//   const Model shapes = nnx::eval_shape([](nnx::Rngs& r) { return Model(r); }, rngs);   // no
//   values auto [graphdef, state] = nnx::split(shapes); nnx::replace_by_pure_dict(state, saved);
//   Model model = nnx::merge<Model>(graphdef, state);
#pragma once

#include <map>
#include <string>
#include <vector>

#include "linnet/nnx/graph.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// Tensors by the text of their path. A slash or backslash inside a name has a backslash before it.
using PureDict = std::map<std::string, Tensor>;

/// The values, without kinds and metadata (N-070). Of random streams these are keys and counts.
/// @throws ModuleError for a variable that holds a tuple.
PureDict to_pure_dict(const State& state);

/// Puts values in place of those of the state's leaves; what the map does not have stays (N-070). A
/// position and the digits of its text are the same key.
/// @throws ValueError naming entries that the state does not have, ShapeError for a value that does
/// not fit; nothing is written then.
void replace_by_pure_dict(State& state, const PureDict& values);

/// The paths of a map with digits as positions (N-070).
State restore_int_paths(const PureDict& values);

/// The leaves in order of their paths, as a list that can be sorted and cut (N-068). The variables
/// are the state's own.
using FlatState = std::vector<State::Entry>;
FlatState to_flat_state(const State& state);
State from_flat_state(FlatState leaves);

}  // namespace linnet::nnx

#pragma GCC visibility pop
