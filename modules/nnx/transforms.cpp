#include "linnet/nnx/transforms.h"

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {

Differentiated differentiated(const std::vector<NodeLeaf>& leaves, const Filter& wrt) {
  Differentiated out;
  for (const NodeLeaf& leaf : leaves) {
    const auto cell = std::static_pointer_cast<VariableCell>(leaf.cell);
    if (!wrt(leaf.path, {cell, cell ? Tensor() : *leaf.tensor})) continue;
    const state::Value value = cell ? state::read(cell) : state::Value(*leaf.tensor);
    if (!value.single() || !value.tensors[0].defined()) {
      fail<ModuleError>(
          "grad: variable {} holds {}; expected one tensor to differentiate with "
          "respect to",
          tree::to_string(leaf.path), value.single() ? "nothing" : "a tuple of tensors");
    }
    if (!is_floating(value.tensors[0].dtype())) {
      fail<DTypeError>(
          "grad: variable {} is {}; expected a floating type to differentiate with respect to",
          tree::to_string(leaf.path), linnet::to_string(value.tensors[0].type()));
    }
    out.leaves.push_back(leaf);
    out.values.push_back(value.tensors[0]);
    out.cells.push_back(leaf.cell);
  }
  if (out.leaves.empty()) fail_nothing_chosen("grad", leaves, wrt);
  return out;
}

State Differentiated::gradients(const TensorList& gradients) const {
  std::vector<State::Entry> entries;
  for (size_t i = 0; i < leaves.size(); ++i) {
    StateLeaf leaf{nullptr, gradients[i]};
    if (cells[i]) {
      const auto& cell = static_cast<const VariableCell&>(*cells[i]);
      leaf = {make_variable_cell(*cell.type, state::Value(gradients[i]), cell.metadata), {}};
    }
    entries.emplace_back(leaves[i].path, std::move(leaf));
  }
  return State(std::move(entries));
}

PlainTensors::PlainTensors(Visit visit) : visit_(std::move(visit)) {
  for (NodeLeaf& leaf : walk(visit_)) {
    if (!leaf.tensor) continue;
    before_.push_back(*leaf.tensor);
    leaves_.push_back(std::move(leaf));
  }
}

PlainTensors::~PlainTensors() {
  if (kept_ || leaves_.empty()) return;
  // What the run moved or removed has no place to go back to.
  try {
    size_t i = 0;
    for (const NodeLeaf& leaf : walk(visit_)) {
      if (!leaf.tensor) continue;
      while (i < leaves_.size() && leaves_[i].tensor != leaf.tensor) ++i;
      if (i == leaves_.size()) return;
      *leaf.tensor = before_[i++];
    }
  } catch (...) {
  }
}

void PlainTensors::place(const Differentiated& chosen, const TensorList& traced) const {
  for (size_t i = 0; i < chosen.leaves.size(); ++i) {
    if (chosen.leaves[i].tensor) *chosen.leaves[i].tensor = traced[i];
  }
}

void PlainTensors::keep(const linnet::detail::ReverseCall& call) {
  for (const NodeLeaf& leaf : walk(visit_)) {
    if (leaf.tensor && leaf.tensor->defined()) *leaf.tensor = call.primal(*leaf.tensor);
  }
  kept_ = true;
}

}  // namespace linnet::nnx::detail
