// Members of a model that may hold a variable or none, found by visiting it.
//
//   detail::MemberVisitor members({&Intermediate::static_type()});
//   tree::visit(model, members);
//   for (const auto& slot : members.slots()) if (!slot.get()) slot.set(cell);
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "linnet/nnx/variable.h"

#pragma GCC visibility push(default)

namespace linnet::nnx::detail {

using VariableTypes = std::vector<const VariableType*>;
using NamedCells = std::vector<std::pair<tree::Path, VariableCellPtr>>;

/// What keeps variables under names that come and go with its calls: a wrapped functional module.
struct Keeper {
  /// Its variables of these kinds, by their paths below it.
  std::function<NamedCells(const VariableTypes&)> get;
  /// Puts these in the place of all that `get` gives.
  std::function<void(const VariableTypes&, const NamedCells&)> set;
};

/// Collects the members of the type std::optional<V> for variables V of some kinds (exactly these),
/// and what keeps variables under names of its own. They are good as long as the model stays where
/// it is.
class MemberVisitor final : public tree::PathVisitor {
 public:
  explicit MemberVisitor(VariableTypes types) : types_(std::move(types)) {}

  struct FoundSlot : Slot {
    tree::Path path;
  };
  struct FoundKeeper : Keeper {
    tree::Path path;
  };
  const std::vector<FoundSlot>& slots() const { return slots_; }
  const std::vector<FoundKeeper>& keepers() const { return keepers_; }
  bool wants(const VariableType& type) const;

  /// What the innermost node that has been entered is.
  void found(Slot slot);
  void found(Keeper keeper) { keepers_.push_back({std::move(keeper), node_path()}); }

 private:
  VariableTypes types_;
  std::vector<FoundSlot> slots_;
  std::vector<FoundKeeper> keepers_;
};

/// Null for visitors of other kinds.
MemberVisitor* as_member_visitor(tree::Visitor& visitor);

}  // namespace linnet::nnx::detail

#pragma GCC visibility pop
