#include "linnet/nnx/state_dict.h"

#include <algorithm>
#include <charconv>

#include "linnet/detail/format.h"

namespace linnet::nnx {
namespace {

tree::Key key_of(const std::string& name) {
  int64_t index = 0;
  const char *begin = name.data(), *end = begin + name.size();
  const auto [rest, error] = std::from_chars(begin, end, index);
  const bool position =
      error == std::errc() && rest == end && index >= 0 && std::to_string(index) == name;
  return position ? tree::Key{"", index} : tree::Key{name, -1};
}

/// The leaf of that path; @throws ValueError with the paths that there are.
const StateLeaf& leaf_at(const State& state, const std::string& path) {
  if (const StateLeaf* found = state.find(path)) return *found;
  std::string known;
  for (const auto& [other, leaf] : state.entries())
    known += (known.empty() ? "" : ", ") + tree::to_string(other);
  fail<ValueError>("replace_by_pure_dict: the state has no leaf '{}'; it has {}", path,
                   known.empty() ? "none" : known);
}

}  // namespace

PureDict to_pure_dict(const State& state) {
  PureDict out;
  for (const auto& [path, leaf] : state.entries()) out[tree::to_string(path)] = leaf.value();
  return out;
}

void replace_by_pure_dict(State& state, const PureDict& values) {
  for (const auto& [path, value] : values) {
    const StateLeaf& leaf = leaf_at(state, path);
    const state::Value held = leaf.cell ? state::peek(leaf.cell) : state::Value(leaf.tensor);
    if (!held.single() || !held.tensors[0].defined()) continue;
    if (held.tensors[0].shape() != value.shape()) {
      fail<ShapeError>("replace_by_pure_dict: '{}' is {} in the state and {} in the map", path,
                       to_string(held.tensors[0].type()), to_string(value.type()));
    }
  }
  std::vector<State::Entry> entries = to_flat_state(state);
  for (auto& [path, leaf] : entries) {
    const auto found = values.find(tree::to_string(path));
    if (found == values.end()) continue;
    if (leaf.cell)
      state::write(leaf.cell, state::Value(found->second));
    else
      leaf.tensor = found->second;
  }
  state = State(std::move(entries));
}

State restore_int_paths(const PureDict& values) {
  std::vector<State::Entry> entries;
  for (const auto& [text, value] : values) {
    tree::Path path;
    for (const std::string& name : tree::split_path(text)) path.push_back(key_of(name));
    entries.emplace_back(std::move(path), StateLeaf{nullptr, value});
  }
  return State(std::move(entries));
}

FlatState to_flat_state(const State& state) { return state.entries(); }
State from_flat_state(FlatState leaves) { return State(std::move(leaves)); }

}  // namespace linnet::nnx
