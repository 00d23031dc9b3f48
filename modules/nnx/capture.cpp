#include "linnet/nnx/capture.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/module_path.h"

namespace linnet::nnx::detail {
namespace {
thread_local const CaptureScope* innermost = nullptr;
}  // namespace

CaptureScope::CaptureScope(std::vector<const VariableType*> types)
    : types_(std::move(types)), previous_(innermost) {
  innermost = this;
}
CaptureScope::~CaptureScope() { innermost = previous_; }
const CaptureScope* CaptureScope::current() { return innermost; }
bool CaptureScope::wants(const VariableType& type) const {
  return std::find(types_.begin(), types_.end(), &type) != types_.end();
}
bool SlotTable::wants(const VariableType& type) const {
  return std::find(types.begin(), types.end(), &type) != types.end();
}

bool is_captured(const VariableType& type) {
  const CaptureScope* scope = CaptureScope::current();
  return !scope || scope->wants(type);
}

state::Value append_to_tuple(const state::Value* held, const Tensor& value) {
  state::Value out = held ? *held : state::Value::tuple_of({});
  out.tensors.push_back(value);
  return out;
}

void reduce_into(Variable& variable, const Reduction& reduce, const Tensor& value) {
  const state::Value held = variable.raw_value();
  variable.set_raw_value(reduce(&held, value));
}

Tensor perturbed(Variable& variable, const Tensor& value) { return variable.value() + value; }

CaptureRun::CaptureRun(SlotTable table, const State& init) : table_(std::move(table)) {
  std::vector<VariableCellPtr> first(table_.slots.size());
  for (const auto& [path, leaf] : init.entries()) {
    bool found = false;
    for (size_t i = 0; i < table_.slots.size() && !found; ++i) {
      found = tree::to_string(table_.slots[i].path) == tree::to_string(path);
      if (found) first[i] = leaf.cell;
    }
    if (!found) {
      fail<ValueError>("capture: the model has no member '{}' for the initial value of that path",
                       tree::to_string(path));
    }
  }
  for (const SlotTable::Slot& slot : table_.slots) before_.push_back(slot.get());
  for (size_t i = 0; i < first.size(); ++i) table_.slots[i].set(std::move(first[i]));
}

CaptureRun::~CaptureRun() {
  for (size_t i = 0; i < before_.size(); ++i) table_.slots[i].set(before_[i]);
}

State CaptureRun::collected(const VariableType& type) const {
  std::vector<State::Entry> entries;
  for (const SlotTable::Slot& slot : table_.slots) {
    VariableCellPtr cell = slot.get();
    if (cell && cell->type == &type) entries.emplace_back(slot.path, StateLeaf{cell, {}});
  }
  return State(std::move(entries));
}

}  // namespace linnet::nnx::detail
