#include "linnet/nnx/graph.h"

#include <algorithm>

#include "core/base/format.h"

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

/// Collects leaves with one path each; the structure text includes kinds and metadata of variables.
class NodeWalk : public tree::Visitor {
 public:
  void tensor(Tensor& leaf) override {
    structure += 'T';
    leaves.push_back({path_, &leaf, nullptr});
  }
  void cell(state::CellPtr& cell) override {
    const auto& variable = static_cast<const VariableCell&>(*cell);
    structure += fmt::format("V{}@{}{}", variable.type->name(),
                             static_cast<const void*>(variable.type), to_string(variable.metadata));
    const auto seen = std::find(cells_.begin(), cells_.end(), cell.get());
    if (seen != cells_.end()) {
      structure += fmt::format("={}", seen - cells_.begin());
      return;
    }
    cells_.push_back(cell.get());
    leaves.push_back({path_, nullptr, cell});
  }
  void fixed(const std::type_info& type, std::string_view bytes) override {
    structure += fmt::format("S{}:", bytes.size());
    structure += bytes;
    structure += type.name();
  }
  void enter(const std::type_info& type, size_t children) override {
    structure += fmt::format("{{{}{}", type.name(), children);
    depth_.push_back(path_.size());
  }
  void leave() override {
    structure += '}';
    path_.resize(depth_.back());
    depth_.pop_back();
  }
  void child(std::string_view name) override {
    structure += '.';
    structure += name;
    path_.resize(depth_.back());
    path_.push_back({std::string(name), -1});
  }
  void child(int64_t index) override {
    structure += ',';
    path_.resize(depth_.back());
    path_.push_back({"", index});
  }
  bool first_visit(const void* address) override {
    const auto seen = std::find(shared_.begin(), shared_.end(), address);
    if (seen != shared_.end()) {
      structure += fmt::format("@{}", seen - shared_.begin());
      return false;
    }
    shared_.push_back(address);
    return true;
  }

  std::vector<NodeLeaf> leaves;
  std::string structure;

 protected:
  tree::Path path_;

 private:
  std::vector<size_t> depth_;
  std::vector<const void*> shared_;
  std::vector<const state::Cell*> cells_;
};

/// Puts a state's cells in place of the module's.
class Adopter final : public NodeWalk {
 public:
  explicit Adopter(const State& state) : state_(state) {}
  void tensor(Tensor& leaf) override { leaf = wanted().value(); }
  void cell(state::CellPtr& cell) override {
    const StateLeaf& leaf = wanted();
    if (leaf.cell) {
      cell = leaf.cell;
      return;
    }
    // A plain value becomes a variable of the recorded kind and metadata.
    const auto& recorded = static_cast<const VariableCell&>(*cell);
    cell = std::make_shared<VariableCell>(*recorded.type, state::Value(leaf.tensor),
                                          recorded.metadata);
  }
  size_t used() const { return used_; }

 private:
  const StateLeaf& wanted() {
    const StateLeaf* leaf = state_.find(path_);
    if (!leaf) fail<ModuleError>("merge: the state has no leaf '{}'", tree::to_string(path_));
    ++used_;
    return *leaf;
  }
  const State& state_;
  size_t used_ = 0;
};

/// Sets bools by member name.
class FlagSetter final : public NodeWalk {
 public:
  explicit FlagSetter(const std::vector<std::pair<std::string, bool>>& flags)
      : found(flags.size()), flags_(flags) {}
  void flag(bool& value) override {
    for (size_t i = 0; i < flags_.size(); ++i) {
      if (path_.empty() || path_.back().name != flags_[i].first) continue;
      value = flags_[i].second;
      found[i] = 1;
    }
  }
  std::vector<uint8_t> found;

 private:
  const std::vector<std::pair<std::string, bool>>& flags_;
};

}  // namespace

std::vector<NodeLeaf> walk(const std::function<void(tree::Visitor&)>& visit,
                           std::string* structure) {
  NodeWalk walker;
  visit(walker);
  if (structure) *structure = std::move(walker.structure);
  return std::move(walker.leaves);
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

void adopt(const std::function<void(tree::Visitor&)>& visit, const State& state) {
  Adopter adopter(state);
  visit(adopter);
  if (adopter.used() < state.size()) {
    fail<ModuleError>("merge: the state has {} leaves, the graph definition {}", state.size(),
                      adopter.used());
  }
}

void write_values(const std::vector<NodeLeaf>& leaves, const State& state) {
  std::map<tree::Path, const NodeLeaf*> by_path;
  for (const NodeLeaf& leaf : leaves) by_path[leaf.path] = &leaf;
  for (const auto& [path, source] : state.entries()) {
    if (!by_path.count(path)) {
      fail<ModuleError>("update: the module has no variable '{}'", tree::to_string(path));
    }
  }
  for (const auto& [path, source] : state.entries()) {
    const NodeLeaf& target = *by_path[path];
    if (target.tensor) {
      *target.tensor = source.value();
    } else if (source.cell) {
      if (source.cell == target.cell) continue;
      state::write(target.cell, state::read(source.cell));
      static_cast<VariableCell&>(*target.cell).metadata = source.cell->metadata;
    } else {
      state::write(target.cell, state::Value(source.tensor));
    }
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
