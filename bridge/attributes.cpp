#include "linnet/bridge/attributes.h"

#include "linnet/detail/format.h"
#include "linnet/detail/nested.h"

namespace linnet::bridge {
namespace {

using linnet::detail::names_of_children;

}  // namespace

AttributeTree::AttributeTree(
    std::initializer_list<std::pair<const std::string, AttributeTree>> children)
    : children_(children) {}
AttributeTree::AttributeTree(nnx::Variable variable) : variable_(std::move(variable)) {}
AttributeTree::AttributeTree(Tensor plain) : plain_(std::move(plain)) {}
AttributeTree::AttributeTree(StaticAttribute entry) : entry_(std::move(entry)) {}

AttributeTree& AttributeTree::operator=(const AttributeTree& other) {
  if (this != &other) *this = AttributeTree(other);
  return *this;
}

AttributeTree& AttributeTree::operator=(AttributeTree&& other) {
  if (this == &other) return *this;
  const auto holds = [](const AttributeTree& tree) {  // a variable that was not moved away
    return tree.variable_ && tree.variable_->cell();
  };
  if (holds(*this) && holds(other) && &variable_->type() == &other.variable_->type()) {
    *variable_ = std::move(*other.variable_);
  } else if (is_leaf() || other.is_leaf()) {
    replace(std::move(other));
  } else {
    Map given = std::move(other.children_);  // `other` may be a child, which may go
    for (auto child = children_.begin(); child != children_.end();) {
      child = given.count(child->first) ? std::next(child) : children_.erase(child);
    }
    for (auto& [name, child] : given) {
      const auto [slot, fresh] = children_.try_emplace(name, std::move(child));
      if (!fresh) slot->second = std::move(child);
    }
  }
  return *this;
}

AttributeTree& AttributeTree::operator=(Tensor value) {
  if (variable_)
    variable_->set_value(std::move(value));
  else
    *this = AttributeTree(std::move(value));
  return *this;
}

AttributeTree& AttributeTree::operator=(nnx::Variable variable) {
  return *this = AttributeTree(std::move(variable));
}

void AttributeTree::replace(AttributeTree&& other) {
  // Whoever holds the old variable keeps it: the node takes over the other's identity.
  variable_.reset();
  if (other.variable_) variable_.emplace(std::move(*other.variable_));
  plain_ = std::move(other.plain_);
  entry_ = std::move(other.entry_);
  Map children = std::move(other.children_);
  children_.swap(children);
}

std::vector<std::string> AttributeTree::keys() const {
  std::vector<std::string> out;
  for (const auto& [name, child] : children_) out.push_back(name);
  return out;
}

const AttributeTree& AttributeTree::operator[](std::string_view name) const {
  const auto found = children_.find(name);
  if (found == children_.end()) {
    fail<ModuleError>("bridge: there is no attribute '{}'; there is {}", name,
                      is_leaf() ? "a single value" : names_of_children(children_));
  }
  return found->second;
}
AttributeTree& AttributeTree::operator[](std::string_view name) {
  return const_cast<AttributeTree&>(std::as_const(*this)[name]);
}

AttributeTree& AttributeTree::at_path(const std::vector<std::string>& path) {
  AttributeTree* node = this;
  for (const std::string& name : path) {
    if (node->is_leaf()) {
      fail<ValueError>("bridge: path {} leads through a value at '{}'", fmt::join(path, "/"), name);
    }
    node = &node->children_[name];
  }
  return *node;
}

const AttributeTree* AttributeTree::find_path(const std::vector<std::string>& path) const {
  return linnet::detail::find_node(*this, path);
}

const nnx::Variable& AttributeTree::variable() const {
  if (!variable_) {
    fail<ModuleError>(
        "bridge: expected a variable, got {}",
        is_leaf() ? "a value that is none" : "a dictionary of " + names_of_children(children_));
  }
  return *variable_;
}
nnx::Variable& AttributeTree::variable() {
  return const_cast<nnx::Variable&>(std::as_const(*this).variable());
}

Tensor AttributeTree::value() const {
  if (plain_) return *plain_;
  if (entry_)
    fail<ModuleError>("bridge: {} is a static entry, not a tensor", entry_->entry->text());
  return variable().value();
}

void AttributeTree::visit(tree::Visitor& visitor) {
  if (variable_) {
    tree::visit(*variable_, visitor);
  } else if (plain_) {
    visitor.tensor(*plain_);
  } else if (entry_) {
    visitor.fixed(typeid(StaticAttribute), entry_->collection + ':' + entry_->entry->text());
  } else {
    visitor.enter(typeid(AttributeTree), children_.size());
    visit_children(visitor);
    visitor.leave();
  }
}

void AttributeTree::visit_children(tree::Visitor& visitor) {
  if (auto* informed = dynamic_cast<detail::AttributeVisitor*>(&visitor))
    informed->attributes(*this);
  if (dynamic_cast<detail::PassesOverAttributes*>(&visitor)) return;
  for (auto& [name, child] : children_) {
    visitor.child(std::string_view(name));
    child.visit(visitor);
  }
}

std::vector<std::pair<std::vector<std::string>, const AttributeTree*>> flat_leaves(
    const AttributeTree& tree) {
  return linnet::detail::flat_leaves(tree);
}

AttributeTree merge(const AttributeTree& earlier, const AttributeTree& later) {
  if (earlier.is_leaf() || later.is_leaf()) return later;
  AttributeTree out = earlier;
  for (const auto& [name, child] : later.children()) {
    const auto found = earlier.children().find(name);
    AttributeTree merged = found == earlier.children().end() ? child : merge(found->second, child);
    out.children().erase(name);
    out.children().emplace(name, std::move(merged));
  }
  return out;
}

}  // namespace linnet::bridge
