#include "linnet/nnx/transforms.h"

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {

GradientPlaces::GradientPlaces(const ObjectCall& objects) {
  for (size_t k = 0; k < objects.inputs().size(); ++k) {
    const NodeLeaf& leaf = objects.input_leaves()[k];
    Entry entry{objects.places()[k].argument, leaf.path, nullptr, {}};
    if (leaf.cell) {
      const auto& cell = static_cast<const VariableCell&>(*leaf.cell);
      entry.type = cell.type;
      entry.metadata = cell.metadata;
    }
    entries_.push_back(std::move(entry));
  }
}

TensorList GradientPlaces::list(const TensorList& gradients, size_t argument) const {
  TensorList out;
  for (size_t k = 0; k < entries_.size(); ++k) {
    if (entries_[k].argument == argument) out.push_back(gradients[k]);
  }
  return out;
}

State GradientPlaces::state(const TensorList& gradients, size_t argument) const {
  std::vector<State::Entry> entries;
  for (size_t k = 0; k < entries_.size(); ++k) {
    const Entry& entry = entries_[k];
    if (entry.argument != argument) continue;
    StateLeaf leaf{nullptr, gradients[k]};
    if (entry.type) {
      leaf = {make_variable_cell(*entry.type, state::Value(gradients[k]), entry.metadata), {}};
    }
    entries.emplace_back(entry.path, std::move(leaf));
  }
  return State(std::move(entries));
}

void require_differentiable(const char* name, const ObjectCall& objects, const Filter& filter) {
  std::vector<NodeLeaf> seen;
  for (const ObjectCall::Leaf& leaf : objects.leaves()) {
    seen.push_back(leaf.node);
    if (!leaf.axis.mapped()) continue;
    const state::Value value =
        leaf.node.cell ? state::read(leaf.node.cell) : state::Value(*leaf.node.tensor);
    if (!value.single() || !value.tensors[0].defined()) {
      fail<ModuleError>(
          "{}: variable {} holds {}; expected one tensor to differentiate with respect to", name,
          tree::to_string(leaf.node.path), value.single() ? "nothing" : "a tuple of tensors");
    }
    if (!is_inexact(value.tensors[0].dtype())) {
      fail<DTypeError>(
          "{}: variable {} is {}; expected a floating type to differentiate with respect to", name,
          tree::to_string(leaf.node.path), linnet::to_string(value.tensors[0].type()));
    }
  }
  if (objects.inputs().empty()) fail_nothing_chosen(name, seen, filter);
}

GradientRun::GradientRun(ObjectCall& objects, const Body& body, const Filter& filter)
    : objects_(objects) {
  require_differentiable("grad", objects, filter);
  call_.emplace("grad", objects.inputs(), true);
  call_->run([&] { results_ = objects.run(call_->traced(), body, {kNone}); });
  gradients_ = call_->gradients(results_.at(0));
  for (Tensor& result : results_) result = call_->primal(result);
}

void GradientRun::commit() {
  state::Scope writes;
  call_->commit();
  objects_.finish(results_, writes);
}

}  // namespace linnet::nnx::detail
