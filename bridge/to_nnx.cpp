#include "linnet/bridge/to_nnx.h"

#include <algorithm>
#include <new>

#include "linnet/bridge/convert.h"
#include "linnet/bridge/module.h"
#include "linnet/detail/format.h"
#include "linnet/nnx/capture.h"

namespace linnet::bridge {

linen::CollectionFilter Mutable::filter() const {
  const linen::CollectionFilter captured(nnx::detail::captured_collections());
  if (filter_) return *filter_ | captured;
  const Module* module = current_module();
  if (module && module->scope()) return module->scope()->mutable_collections() | captured;
  const linen::Scope* around = linen::Scope::current();
  return around ? around->mutable_collections() | captured : captured;
}

namespace detail {
namespace {

using Kinds = nnx::detail::VariableTypes;

bool is_of(const AttributeTree& node, const Kinds& kinds) {
  return node.is_variable() &&
         std::find(kinds.begin(), kinds.end(), &node.variable().type()) != kinds.end();
}

nnx::detail::NamedCells cells_in(const AttributeTree& tree, const Kinds& kinds) {
  nnx::detail::NamedCells out;
  for (const auto& [path, leaf] : flat_leaves(tree)) {
    if (!is_of(*leaf, kinds)) continue;
    tree::Path keys;
    for (const std::string& name : path) keys.push_back({name, -1});
    out.emplace_back(std::move(keys), leaf->variable().cell());
  }
  return out;
}

/// Dictionaries that held nothing else go too.
void erase_variables(AttributeTree& tree, const Kinds& kinds) {
  for (auto entry = tree.children().begin(); entry != tree.children().end();) {
    AttributeTree& node = entry->second;
    const bool was_empty = node.empty();
    if (!node.is_leaf()) erase_variables(node, kinds);
    const bool emptied = node.empty() && !was_empty;
    entry = emptied || is_of(node, kinds) ? tree.children().erase(entry) : std::next(entry);
  }
}

/// Tells `nnx::capture` what is kept in a wrapper.
void report_to(tree::Visitor& visitor, AttributeTree& attributes) {
  nnx::detail::MemberVisitor* members = nnx::detail::as_member_visitor(visitor);
  if (!members) return;
  members->found(nnx::detail::Keeper{
      [&](const Kinds& kinds) { return cells_in(attributes, kinds); },
      [&](const Kinds& kinds, const nnx::detail::NamedCells& cells) {
        erase_variables(attributes, kinds);
        for (const auto& [path, cell] : cells)
          attributes.at_path(tree::names(path)) = AttributeTree(nnx::Variable(cell));
      }});
}

}  // namespace

namespace {

/// Programs that were traced without a capture sow nothing, so that one inside has its own.
void visit_identity(tree::Visitor& visitor, const std::type_info& type, std::string_view identity) {
  const std::vector<std::string> captured = nnx::detail::captured_collections();
  if (captured.empty())
    visitor.fixed(type, identity);
  else
    visitor.fixed(type, fmt::format("{} captured {}", identity, fmt::join(captured, " ")));
}

}  // namespace

void NnxWrapper::visit(tree::Visitor& visitor, const std::type_info& type,
                       std::string_view identity) {
  visitor.enter(type, 3 + attributes_.size());
  visitor.child(std::string_view("to_nnx__module"));
  if (dynamic_cast<PassesOverAttributes*>(&visitor) == nullptr)
    visit_identity(visitor, type, identity);
  visitor.child(std::string_view(attributes_.empty() ? kInitializing : kInitializingAgain));
  visitor.flag(initializing_);
  visitor.child(std::string_view("to_nnx__rngs"));
  rngs_.visit(visitor);
  attributes_.visit_children(visitor);
  report_to(visitor, attributes_);
  visitor.leave();
}

void StreamCounts::note(nnx::Rngs& rngs) {
  for (const tree::LeafRef& leaf : tree::flatten(rngs).leaves)
    before_.emplace_back(leaf.cell, state::read(leaf.cell));
}
// The scope around, if there is one, has a place for each already: it was written to.
StreamCounts::~StreamCounts() {
  for (auto& [cell, value] : before_) state::write(cell, std::move(value));
}

linen::RngStreams NnxWrapper::draw_keys(const CallRngs& given, StreamCounts& counts) {
  if (given.key()) return *given.key();
  nnx::Rngs& rngs = given.rngs() ? *given.rngs() : rngs_;
  counts.note(rngs);
  std::map<std::string, Key> keys;
  for (const std::string& name : rngs.names()) keys.emplace(name, rngs.next(name));
  if (!keys.count("params") && keys.count("default")) {
    auto entry = keys.extract("default");
    entry.key() = "params";
    keys.insert(std::move(entry));
  }
  return keys;
}

linen::Variables NnxWrapper::variables() const { return nnx_attrs_to_linen_vars(attributes_); }

namespace {

bool same_value(const state::Value& a, const state::Value& b) {
  if (a.tuple != b.tuple || a.tensors.size() != b.tensors.size()) return false;
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    if (a.tensors[i].impl() != b.tensors[i].impl()) return false;
  }
  return true;
}

/// What a call makes or changes in a tree: prepared first, then done without needing memory.
class TakeOver {
 public:
  explicit TakeOver(AttributeTree& attributes) : attributes_(attributes) {}
  TakeOver(const TakeOver&) = delete;
  TakeOver& operator=(const TakeOver&) = delete;
  ~TakeOver() {
    for (; !places_.empty(); places_.pop_back()) {
      AttributeTree::Map& children = places_.back().first->children();
      children.erase(children.find(places_.back().second));
    }
  }

  void add(const std::vector<std::string>& path, const AttributeTree& leaf) {
    AttributeTree& node = at_path(path);
    if (leaf.is_static()) {
      made_.emplace_back(&node, leaf);
      return;
    }
    const nnx::Variable& fresh = leaf.variable();
    fresh.cell()->label = tree::to_string(path);
    if (!node.is_variable()) {
      if (!node.empty()) {
        fail<ValueError>(
            "ToNNX: duplicate variable path {}: the call made a {} where there is a {}",
            fmt::join(path, "/"), fresh.type().name(),
            node.is_leaf() ? "plain value" : "dictionary");
      }
      made_.emplace_back(&node, AttributeTree(fresh));
      return;
    }
    nnx::Variable& variable = node.variable();
    if (&variable.type() != &fresh.type()) {
      fail<ValueError>("ToNNX: duplicate variable path {}: there is a {}, and the call made a {}",
                       fmt::join(path, "/"), variable.type().name(), fresh.type().name());
    }
    // Writing what is there already would make every variable an output of jitted programs.
    state::Value value = fresh.raw_value();
    if (!same_value(variable.raw_value(), value))
      written_.emplace_back(variable.cell(), std::move(value));
    metadata_.emplace_back(variable.cell(), fresh.metadata());
  }

  void commit() {
    state::Scope writes;
    for (auto& [cell, value] : written_) state::write(cell, std::move(value));
    writes.commit();
    for (auto& [node, value] : made_) *node = std::move(value);
    for (auto& [cell, metadata] : metadata_) cell->metadata = std::move(metadata);
    places_.clear();
  }

 private:
  /// Of the places that are made on the way, the first is noted: the others are in it.
  AttributeTree& at_path(const std::vector<std::string>& path) {
    AttributeTree* node = &attributes_;
    for (size_t i = 0; i < path.size(); ++i) {
      if (node->is_leaf() || node->contains(path[i])) {
        node = node->is_leaf() ? &attributes_.at_path(path) : &(*node)[path[i]];
        continue;
      }
      places_.emplace_back(node, path[i]);
      AttributeTree* made = nullptr;
      try {
        made = &node->children()[path[i]];
      } catch (...) {
        places_.pop_back();
        throw;
      }
      return made->at_path({path.begin() + static_cast<int64_t>(i) + 1, path.end()});
    }
    return *node;
  }

  AttributeTree& attributes_;
  std::vector<std::pair<AttributeTree*, std::string>> places_;
  std::vector<std::pair<AttributeTree*, AttributeTree>> made_;
  std::vector<std::pair<state::CellPtr, state::Value>> written_;
  std::vector<std::pair<nnx::VariableCellPtr, Metadata>> metadata_;
};

}  // namespace

void NnxWrapper::write_back(const linen::Variables& updates) {
  const AttributeTree fresh = linen_vars_to_nnx_attrs(updates);
  TakeOver changes(attributes_);
  for (const auto& [path, leaf] : flat_leaves(fresh)) {
    if (path.front().starts_with("to_nnx__"))
      fail<ValueError>("ToNNX: the name '{}' is reserved", path.front());
    changes.add(path, *leaf);
  }
  changes.commit();
}

/// Sets the flags of wrappers. Variables are passed over, and a second walk over the same objects
/// needs no memory.
class FlagVisitor final : public tree::PathVisitor, public PassesOverAttributes {
 public:
  FlagVisitor() : PathVisitor(false) {}
  void walk(const std::function<void(tree::Visitor&)>& visit, bool value, bool all_wrappers) {
    value_ = value;
    all_ = all_wrappers;
    seen().clear();
    visit(*this);
  }
  using PathVisitor::child;
  void child(std::string_view name) override {
    name_ = name;
    PathVisitor::child(name);
  }
  void flag(bool& value) override {
    if (name_ == kInitializing || (all_ && name_ == kInitializingAgain)) value = value_;
  }

 private:
  std::string_view name_;
  bool value_ = false, all_ = false;
};

InitializingScope::InitializingScope(std::function<void(tree::Visitor&)> visit, Which which)
    : visit_(std::move(visit)), flags_(std::make_unique<FlagVisitor>()) {
  try {
    flags_->walk(visit_, true, which == kAllWrappers);
  } catch (...) {
    flags_->walk(visit_, false, true);
    throw;
  }
}
InitializingScope::~InitializingScope() {
  // There may be more wrappers than before; those beyond what there is memory for stay as they are.
  try {
    flags_->walk(visit_, false, true);
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace detail
}  // namespace linnet::bridge
