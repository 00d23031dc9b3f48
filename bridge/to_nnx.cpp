#include "linnet/bridge/to_nnx.h"

#include "linnet/bridge/convert.h"
#include "linnet/bridge/module.h"
#include "linnet/detail/format.h"

namespace linnet::bridge {

linen::CollectionFilter Mutable::filter() const {
  if (filter_) return *filter_;
  const Module* module = current_module();
  if (module && module->scope()) return module->scope()->mutable_collections();
  const linen::Scope* around = linen::Scope::current();
  return around ? around->mutable_collections() : linen::CollectionFilter(false);
}

namespace detail {

void NnxWrapper::visit(tree::Visitor& visitor, const std::type_info& type,
                       std::string_view identity) {
  visitor.enter(type, 3 + attributes_.size());
  visitor.child(std::string_view("to_nnx__module"));
  visitor.fixed(type, identity);
  visitor.child(std::string_view(attributes_.empty() ? kInitializing : kInitializingAgain));
  visitor.flag(initializing_);
  visitor.child(std::string_view("to_nnx__rngs"));
  rngs_.visit(visitor);
  attributes_.visit_children(visitor);
  visitor.leave();
}

linen::RngStreams NnxWrapper::draw_keys(const CallRngs& given) {
  if (given.key()) return *given.key();
  nnx::Rngs& rngs = given.rngs() ? *given.rngs() : rngs_;
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

/// In place if the node holds a variable of that type already.
void take_over(AttributeTree& node, const nnx::Variable& fresh,
               const std::vector<std::string>& path) {
  if (!node.is_variable()) {
    if (!node.empty()) {
      fail<ValueError>("ToNNX: duplicate variable path {}: the call made a {} where there is a {}",
                       fmt::join(path, "/"), fresh.type().name(),
                       node.is_leaf() ? "plain value" : "dictionary");
    }
    node = AttributeTree(fresh);
    return;
  }
  nnx::Variable& variable = node.variable();
  if (&variable.type() != &fresh.type()) {
    fail<ValueError>("ToNNX: duplicate variable path {}: there is a {}, and the call made a {}",
                     fmt::join(path, "/"), variable.type().name(), fresh.type().name());
  }
  // Writing what is there already would make every variable an output of jitted programs.
  state::Value value = fresh.raw_value();
  if (!same_value(variable.raw_value(), value)) variable.set_raw_value(std::move(value));
  variable.cell()->metadata = fresh.metadata();
}

}  // namespace

void NnxWrapper::write_back(const linen::Variables& updates) {
  const AttributeTree fresh = linen_vars_to_nnx_attrs(updates);
  for (const auto& [path, leaf] : flat_leaves(fresh)) {
    if (path.front().starts_with("to_nnx__")) {
      fail<ValueError>("ToNNX: the name '{}' is reserved", path.front());
    }
    AttributeTree& node = attributes_.at_path(path);
    if (!leaf->is_static()) leaf->variable().cell()->label = tree::to_string(path);
    if (leaf->is_static())
      node = *leaf;
    else
      take_over(node, leaf->variable(), path);
  }
}

InitializingScope::InitializingScope(std::function<void(tree::Visitor&)> visit, Which which)
    : visit_(std::move(visit)) {
  set(true, which);
}
InitializingScope::~InitializingScope() { set(false, kAllWrappers); }
void InitializingScope::set(bool value, Which which) {
  std::vector<std::pair<std::string, bool>> flags{{kInitializing, value}};
  if (which == kAllWrappers) flags.emplace_back(kInitializingAgain, value);
  nnx::detail::set_flags(visit_, flags, false);
}

}  // namespace detail
}  // namespace linnet::bridge
