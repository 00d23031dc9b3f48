#include "linnet/nnx/capture.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/module_path.h"
#include "modules/nnx/registered_name.h"

namespace linnet::nnx::detail {
namespace {
thread_local const CaptureScope* innermost = nullptr;
}  // namespace

CaptureScope::CaptureScope(VariableTypes types) : types_(std::move(types)), previous_(innermost) {
  innermost = this;
}
CaptureScope::~CaptureScope() { innermost = previous_; }
const CaptureScope* CaptureScope::current() { return innermost; }
bool CaptureScope::wants(const VariableType& type) const {
  return std::find(types_.begin(), types_.end(), &type) != types_.end();
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

namespace {

/// False for kinds that functional modules read back at the next call: without them the model would
/// be another.
bool is_sown(const VariableType* type) {
  return !type->is(Param::static_type()) && !type->is(BatchStat::static_type()) &&
         !type->is(Cache::static_type()) && !type->is(RngState::static_type());
}

VariableTypes sown_types(VariableTypes types) {
  std::erase_if(types, [](const VariableType* type) { return !is_sown(type); });
  return types;
}

VariableTypes with_types_of(const State& init, VariableTypes types) {
  for (const auto& [path, leaf] : init.entries()) {
    if (leaf.cell) types.push_back(leaf.cell->type);
  }
  return types;
}

/// Functional modules make perturbations only when they are initialised, so that they begin as
/// zeros; the rest as nothing.
NamedCells first_values(const NamedCells& held) {
  NamedCells out;
  for (const auto& [path, cell] : held) {
    if (!cell->type->is(Perturbation::static_type())) continue;
    const Tensor zero = zeros_like(state::read(cell).tensors.at(0));
    out.emplace_back(path, make_variable_cell(*cell->type, state::Value(zero), cell->metadata));
  }
  return out;
}

bool same_text(const tree::Path& a, const tree::Path& b) {
  return tree::to_string(a) == tree::to_string(b);
}

/// Where it lies below the node, if it does.
std::optional<tree::Path> path_below(const tree::Path& path, const tree::Path& node) {
  if (path.size() <= node.size()) return std::nullopt;
  const auto split = path.begin() + static_cast<std::ptrdiff_t>(node.size());
  if (!same_text({path.begin(), split}, node)) return std::nullopt;
  return tree::Path(split, path.end());
}

}  // namespace

std::vector<std::string> captured_collections() {
  std::vector<std::string> out;
  if (!CaptureScope::current()) return out;
  // What a wrapper keeps has types that are registered.
  for (const VariableType* type : sown_types(CaptureScope::current()->types())) {
    if (std::optional<std::string> name = registered_name(*type)) out.push_back(*std::move(name));
  }
  return out;
}

CaptureRun::CaptureRun(VariableTypes types, const std::function<void(tree::Visitor&)>& visit,
                       const State& init)
    : scope_(with_types_of(init, std::move(types))),
      members_(scope_.types()),
      kept_types_(sown_types(scope_.types())) {
  visit(members_);
  Values first;
  first.slots.resize(members_.slots().size());
  for (const auto& slot : members_.slots()) before_.slots.push_back(slot.get());
  for (const auto& keeper : members_.keepers()) {
    before_.kept.push_back(keeper.get(kept_types_));
    first.kept.push_back(first_values(before_.kept.back()));
  }
  for (const auto& [path, leaf] : init.entries()) {
    if (begin_with(path, leaf.cell, first)) continue;
    fail<ValueError>("capture: the model has no member '{}' for the initial value of that path",
                     tree::to_string(path));
  }
  put(first);
}

bool CaptureRun::begin_with(const tree::Path& path, const VariableCellPtr& cell,
                            Values& first) const {
  for (size_t i = 0; i < first.slots.size(); ++i) {
    if (!same_text(members_.slots()[i].path, path)) continue;
    first.slots[i] = cell;
    return true;
  }
  for (size_t i = 0; cell && i < first.kept.size(); ++i) {
    const auto below = path_below(path, members_.keepers()[i].path);
    if (!below) continue;
    NamedCells& kept = first.kept[i];
    const auto found = std::find_if(kept.begin(), kept.end(), [&](const auto& entry) {
      return same_text(entry.first, *below);
    });
    if (found != kept.end())
      found->second = cell;
    else if (cell->type->is(Perturbation::static_type()) || !is_sown(cell->type))
      continue;  // nothing in the module would read it
    else
      kept.emplace_back(*below, cell);
    return true;
  }
  return false;
}

void CaptureRun::put(const Values& values) const {
  for (size_t i = 0; i < values.slots.size(); ++i) members_.slots()[i].set(values.slots[i]);
  for (size_t i = 0; i < values.kept.size(); ++i)
    members_.keepers()[i].set(kept_types_, values.kept[i]);
}

CaptureRun::~CaptureRun() { put(before_); }

State CaptureRun::collected(const VariableType& type) const {
  std::vector<State::Entry> entries;
  for (const auto& slot : members_.slots()) {
    VariableCellPtr cell = slot.get();
    if (cell && cell->type == &type) entries.emplace_back(slot.path, StateLeaf{cell, {}});
  }
  for (const auto& keeper : members_.keepers()) {
    for (const auto& [below, cell] : keeper.get(kept_types_)) {
      if (cell->type != &type) continue;
      tree::Path path = keeper.path;
      path.insert(path.end(), below.begin(), below.end());
      entries.emplace_back(std::move(path), StateLeaf{cell, {}});
    }
  }
  return State(std::move(entries));
}

}  // namespace linnet::nnx::detail
