#include "linnet/nnx/transforms_axes.h"

#include "linnet/detail/format.h"

namespace linnet::nnx {

std::string to_string(LeafAxis axis) {
  return axis.carried() ? "carry" : axis.none() ? "none" : std::to_string(axis.position());
}

StateAxes::StateAxes(const State& axes) {
  for (const auto& [path, leaf] : axes.entries())
    entries_.emplace_back(path_in({tree::to_string(path)}), LeafAxis(leaf.value().item<int64_t>()));
}

LeafAxis StateAxes::of(const tree::Path& path, const StateLeaf& leaf) const {
  for (const auto& [filter, axis] : entries_) {
    if (filter(path, leaf)) return axis;
  }
  fail<ValueError>(
      "StateAxes: no axis for '{}'{}\n  hint: everything() as the last filter takes the rest",
      tree::to_string(path), leaf.type() ? " (" + leaf.type()->name() + ")" : std::string());
}

LeafAxis AxesPrefix::of(const tree::Path& path, const StateLeaf& leaf) const {
  const LeafAxis* axis = std::get_if<LeafAxis>(&axes_);
  return axis ? *axis : std::get<StateAxes>(axes_).of(path, leaf);
}

bool AxesPrefix::carried() const {
  const LeafAxis* axis = std::get_if<LeafAxis>(&axes_);
  return axis && axis->carried();
}

bool AxesPrefix::has_carry() const {
  if (carried()) return true;
  if (!filters()) return false;
  for (const auto& [filter, axis] : filters()->entries()) {
    if (axis.carried()) return true;
  }
  return false;
}

}  // namespace linnet::nnx
