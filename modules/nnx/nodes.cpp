#include "linnet/nnx/nodes.h"

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {

bool NodeWalk::enter(const void* shared) {
  const auto [found, fresh] = open_.try_emplace(shared, true);
  if (fresh) return true;
  if (found->second && refuse_circles_) {
    fail<ValueError>("{}: the module at '{}' contains itself", name_, tree::to_string(path_));
  }
  return false;
}

void require_removable(const State& chosen, const Removal& removal) {
  std::string fixed;
  for (const auto& [path, leaf] : chosen.entries()) {
    if (removal.wanted.at(leaf.cell.get())) continue;
    fixed += (fixed.empty() ? "'" : ", '") + tree::to_string(path) + "'";
  }
  if (fixed.empty()) return;
  fail<ValueError>(
      "pop: {} cannot be taken out: its module always has it\n"
      "  hint: hold it in a std::optional or a std::map, or use state()",
      fixed);
}

}  // namespace linnet::nnx::detail
