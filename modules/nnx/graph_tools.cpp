#include "linnet/nnx/graph_tools.h"

#include <set>

#include "linnet/detail/format.h"

namespace linnet::nnx {
namespace detail {
namespace {

class ItemCollector final : public tree::PathVisitor {
 public:
  void tensor(Tensor& leaf) override {
    items_.push_back({path(), GraphItem::Kind::kTensor, &typeid(Tensor), {nullptr, leaf}});
  }
  void cell(state::CellPtr& cell) override {
    if (!cells_.insert(cell.get()).second) return;
    items_.push_back({path(),
                      GraphItem::Kind::kVariable,
                      &typeid(Variable),
                      {std::static_pointer_cast<VariableCell>(cell), {}}});
  }
  void fixed(const std::type_info& type, std::string_view) override {
    items_.push_back({path(), GraphItem::Kind::kStatic, &type});
  }
  void flag(bool&) override { fixed(typeid(bool), {}); }
  void enter(const std::type_info& type, size_t children) override {
    PathVisitor::enter(type, children);
    open_.push_back({&type, node_path(), true});
  }
  void leave() override {
    const Open node = open_.back();
    open_.pop_back();
    if (node.first) items_.push_back({node.path, GraphItem::Kind::kNode, node.type});
    PathVisitor::leave();
  }
  bool first_visit(const void* address) override {
    open_.back().first = PathVisitor::first_visit(address);
    return open_.back().first;
  }
  std::vector<GraphItem> take() { return std::move(items_); }

 private:
  struct Open {
    const std::type_info* type;
    tree::Path path;
    bool first;
  };
  std::vector<Open> open_;
  std::set<const state::Cell*> cells_;
  std::vector<GraphItem> items_;
};

class DuplicateFinder final : public tree::PathVisitor {
 public:
  explicit DuplicateFinder(const Filter* only) : only_(only) {}
  void cell(state::CellPtr& cell) override {
    if (only_ && !(*only_)(path(), {std::static_pointer_cast<VariableCell>(cell), {}})) return;
    note(cell.get(), path());
  }
  bool first_visit(const void* address) override {
    if (!only_) note(address, node_path());
    return PathVisitor::first_visit(address);
  }
  std::vector<std::vector<tree::Path>> take() const {
    std::vector<std::vector<tree::Path>> out;
    for (const auto& paths : found_) {
      if (paths.size() > 1) out.push_back(paths);
    }
    return out;
  }

 private:
  void note(const void* address, tree::Path path) {
    const auto [at, fresh] = index_.try_emplace(address, found_.size());
    if (fresh) found_.emplace_back();
    found_[at->second].push_back(std::move(path));
  }
  const Filter* only_;
  std::map<const void*, size_t> index_;
  std::vector<std::vector<tree::Path>> found_;
};

}  // namespace

std::vector<GraphItem> iter_graph(const std::function<void(tree::Visitor&)>& visit) {
  ItemCollector collector;
  visit(collector);
  return collector.take();
}

std::vector<std::vector<tree::Path>> find_duplicates(
    const std::function<void(tree::Visitor&)>& visit, const Filter* only) {
  DuplicateFinder finder(only);
  visit(finder);
  return finder.take();
}

void map_leaves(const std::vector<NodeLeaf>& leaves, const LeafMap& f) {
  for (const NodeLeaf& leaf : leaves) {
    if (leaf.tensor) {
      *leaf.tensor = f(leaf.path, {nullptr, *leaf.tensor});
    } else {
      const auto cell = std::static_pointer_cast<VariableCell>(leaf.cell);
      cell->set_raw(state::Value(f(leaf.path, {cell, {}})));
    }
  }
}

void set_metadata(const std::vector<NodeLeaf>& leaves, const Filter& only,
                  const Metadata& metadata) {
  for (const NodeLeaf& leaf : leaves) {
    if (!leaf.cell) continue;
    const auto cell = std::static_pointer_cast<VariableCell>(leaf.cell);
    if (!only(leaf.path, {cell, {}})) continue;
    Variable variable(cell);
    for (const auto& [name, entry] : metadata.entries())
      variable.set_metadata(name, MetadataValue(entry));
  }
}

}  // namespace detail

State as_pure(const State& state) {
  std::vector<State::Entry> entries;
  for (const auto& [path, leaf] : state.entries())
    entries.emplace_back(path, StateLeaf{nullptr, leaf.value()});
  return State(std::move(entries));
}

}  // namespace linnet::nnx
