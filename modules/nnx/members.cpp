#include "linnet/nnx/members.h"

#include <algorithm>

namespace linnet::nnx::detail {

bool MemberVisitor::wants(const VariableType& type) const {
  return std::find(types_.begin(), types_.end(), &type) != types_.end();
}

void MemberVisitor::found(Slot slot) {
  if (wants(*slot.type)) slots_.push_back({std::move(slot), node_path()});
}

MemberVisitor* as_member_visitor(tree::Visitor& visitor) {
  // Every visit of a model asks; the class is final, so that its name alone decides.
  return typeid(visitor) == typeid(MemberVisitor) ? static_cast<MemberVisitor*>(&visitor) : nullptr;
}

void report_slot(tree::Visitor& visitor, Slot slot) {
  if (MemberVisitor* members = as_member_visitor(visitor)) members->found(std::move(slot));
}

}  // namespace linnet::nnx::detail
