#include "linnet/nnx/graph.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::nnx {

bool GraphDef::Definition::equals(const StaticEntry& other) const {
  const auto* that = dynamic_cast<const Definition*>(&other);
  return that && *type == *that->type && structure == that->structure;
}
std::string GraphDef::Definition::text() const {
  std::string names;
  for (const tree::Path& path : paths) names += (names.empty() ? "" : ", ") + tree::to_string(path);
  return fmt::format("GraphDef({}: {})#{:x}", short_type_name(*type), names,
                     std::hash<std::string>{}(structure));
}

bool GraphDef::operator==(const GraphDef& other) const {
  if (!definition_ || !other.definition_) return definition_ == other.definition_;
  return definition_->equals(*other.definition_);
}
size_t GraphDef::hash() const {
  return definition_ ? std::hash<std::string>{}(definition_->structure) : 0;
}
std::string GraphDef::text() const { return definition_ ? definition_->text() : "GraphDef()"; }

namespace detail {

namespace {

/// Puts a state's cells in place of the module's.
class Adopter final : public tree::PathVisitor {
 public:
  explicit Adopter(const State& state) : state_(state) {}
  void tensor(Tensor& leaf) override { leaf = wanted().value(); }
  void cell(state::CellPtr& cell) override {
    const auto [known, fresh] = adopted_.try_emplace(cell.get(), nullptr);
    if (fresh) {
      // A plain value becomes a variable of the recorded kind and metadata.
      const StateLeaf& leaf = wanted();
      const auto& recorded = static_cast<const VariableCell&>(*cell);
      replaced_.push_back(cell);
      known->second = leaf.cell ? leaf.cell
                                : make_variable_cell(*recorded.type, state::Value(leaf.tensor),
                                                     recorded.metadata);
    }
    cell = known->second;
  }
  size_t used() const { return used_; }

 private:
  const StateLeaf& wanted() {
    const StateLeaf* leaf = state_.find(path());
    if (!leaf) fail<ModuleError>("merge: the state has no leaf '{}'", tree::to_string(path()));
    ++used_;
    return *leaf;
  }
  const State& state_;
  size_t used_ = 0;
  std::map<const state::Cell*, state::CellPtr> adopted_;
  std::vector<state::CellPtr> replaced_;  ///< kept, so that their addresses stay theirs
};

/// Sets bools by member name.
class FlagSetter final : public tree::PathVisitor {
 public:
  explicit FlagSetter(const std::vector<std::pair<std::string, bool>>& flags)
      : found(flags.size()), flags_(flags) {}
  void flag(bool& value) override {
    for (size_t i = 0; i < flags_.size(); ++i) {
      if (path().empty() || path().back().name != flags_[i].first) continue;
      value = flags_[i].second;
      found[i] = 1;
    }
  }
  std::vector<uint8_t> found;

 private:
  const std::vector<std::pair<std::string, bool>>& flags_;
};

}  // namespace

namespace {

/// For error texts. A walk from further outside knows more.
void name_cell(state::Cell& cell, const tree::Path& path) {
  if (path.empty()) return;
  const std::string text = tree::to_string(path);
  if (text.size() > cell.label.text().size()) cell.label = text;
}

}  // namespace

std::vector<NodeLeaf> walk(const std::function<void(tree::Visitor&)>& visit,
                           std::string* structure) {
  tree::Flattener flattener({.paths = true, .types = structure != nullptr});
  visit(flattener);
  tree::Flattened flat = flattener.take();
  if (structure) *structure = std::move(flat.structure);
  std::vector<NodeLeaf> leaves;
  leaves.reserve(flat.leaves.size());
  for (size_t i = 0; i < flat.leaves.size(); ++i) {
    leaves.push_back({std::move(flat.paths[i]), flat.leaves[i].tensor, flat.leaves[i].cell});
    if (leaves.back().cell) name_cell(*leaves.back().cell, leaves.back().path);
  }
  return leaves;
}

State state_of(const std::vector<NodeLeaf>& leaves) {
  std::vector<State::Entry> entries;
  for (const NodeLeaf& leaf : leaves) {
    if (leaf.tensor)
      entries.emplace_back(leaf.path, StateLeaf{nullptr, *leaf.tensor});
    else
      entries.emplace_back(leaf.path,
                           StateLeaf{std::static_pointer_cast<VariableCell>(leaf.cell), {}});
  }
  return State(std::move(entries));
}

void fail_nothing_chosen(const char* operation, const std::vector<NodeLeaf>& leaves,
                         const Filter& filter) {
  std::string known;
  for (size_t i = 0; i < leaves.size() && i < 8; ++i) {
    known += (i ? ", " : "") + tree::to_string(leaves[i].path);
    if (leaves[i].cell) {
      known += " (" + static_cast<const VariableCell&>(*leaves[i].cell).type->name() + ")";
    }
  }
  if (leaves.size() > 8) known += fmt::format(" and {} more", leaves.size() - 8);
  // The addresses of kinds tell filters apart and readers nothing.
  std::string text = filter.text();
  for (size_t at; (at = text.find("@0x")) != std::string::npos;)
    text.erase(at, text.find_first_of(",)", at) - at);
  fail<ValueError>("{}: the filter {} chooses none of the module's leaves\n  it has {}", operation,
                   text, known.empty() ? "none" : known);
}

void adopt(const std::function<void(tree::Visitor&)>& visit, const State& state) {
  Adopter adopter(state);
  visit(adopter);
  if (adopter.used() < state.size()) {
    fail<ModuleError>("merge: the state has {} leaves, the graph definition {}", state.size(),
                      adopter.used());
  }
}

namespace {

/// @throws ShapeError if a parameter would change its shape.
void check_fits(const NodeLeaf& target, const state::Value& value) {
  if (target.cell && !keeps_shape(*static_cast<const VariableCell&>(*target.cell).type)) return;
  const state::Value held = target.cell ? state::peek(target.cell) : state::Value(*target.tensor);
  if (!held.single() || !value.single() || !held.tensors[0].defined()) return;
  if (value.tensors[0].defined() && value.tensors[0].shape() == held.tensors[0].shape()) return;
  fail<ShapeError>("update: '{}' is {} in the module and {} in the state",
                   tree::to_string(target.path), linnet::to_string(held.tensors[0].type()),
                   type_of(value.tensors[0]));
}

}  // namespace

void write_values(const std::vector<NodeLeaf>& leaves, const State& state) {
  std::map<tree::Path, const NodeLeaf*> by_path;
  for (const NodeLeaf& leaf : leaves) by_path[leaf.path] = &leaf;
  struct Write {
    const NodeLeaf* target;
    state::Value value;
    std::optional<Metadata> metadata;
  };
  std::vector<Write> writes;
  for (const auto& [path, source] : state.entries()) {
    const auto found = by_path.find(path);
    if (found == by_path.end()) {
      fail<ModuleError>("update: the module has no variable '{}'", tree::to_string(path));
    }
    const NodeLeaf& target = *found->second;
    if (source.cell && source.cell == target.cell) continue;
    state::Value value = target.tensor ? state::Value(source.value())
                         : source.cell ? state::read(source.cell)
                                       : state::Value(source.tensor);
    check_fits(target, value);
    writes.push_back({&target, std::move(value), std::nullopt});
    if (source.cell) writes.back().metadata = source.cell->metadata;
  }
  // Nothing has been written until here, and nothing can fail any more.
  for (Write& write : writes) {
    if (write.target->tensor) {
      *write.target->tensor = std::move(write.value.tensors[0]);
      continue;
    }
    state::write(write.target->cell, std::move(write.value));
    if (write.metadata)
      static_cast<VariableCell&>(*write.target->cell).metadata = std::move(*write.metadata);
  }
}

void make_abstract(const std::vector<NodeLeaf>& leaves) {
  for (const NodeLeaf& leaf : leaves) {
    if (leaf.tensor) {
      if (leaf.tensor->defined()) *leaf.tensor = abstract(leaf.tensor->type());
      continue;
    }
    state::Value value = leaf.cell->raw();
    for (Tensor& tensor : value.tensors) {
      if (tensor.defined()) tensor = abstract(tensor.type());
    }
    leaf.cell->set_raw(std::move(value));
  }
}

void set_flags(const std::function<void(tree::Visitor&)>& visit,
               const std::vector<std::pair<std::string, bool>>& flags, bool must_exist) {
  FlagSetter setter(flags);
  visit(setter);
  if (!must_exist) return;
  std::string missing;
  for (size_t i = 0; i < flags.size(); ++i) {
    if (!setter.found[i]) missing += (missing.empty() ? "" : ", ") + flags[i].first;
  }
  if (!missing.empty()) fail<ModuleError>("set_attributes: no submodule has {}", missing);
}

}  // namespace detail
}  // namespace linnet::nnx
