#include "linnet/linen/variables.h"

#include "linnet/detail/format.h"
#include "linnet/detail/nested.h"

namespace linnet::linen {
namespace {

/// Static entries take part in a tree's structure by identity of content.
struct StaticMarker {};

}  // namespace

bool Box::operator==(const Box& other) const {
  if (kind != other.kind || metadata != other.metadata || variable_type != other.variable_type)
    return false;
  if (!inner || !other.inner) return inner == other.inner;
  return *inner == *other.inner;
}

const Variables& Variables::operator[](std::string_view name) const {
  const auto found = children_.find(name);
  if (found == children_.end()) {
    if (is_leaf()) fail<ModuleError>("variables: '{}' was asked of a leaf", name);
    fail<ModuleError>("variables: there is no '{}'; there is {}", name,
                      linnet::detail::names_of_children(children_));
  }
  return found->second;
}

std::vector<std::string> Variables::keys() const {
  std::vector<std::string> out;
  for (const auto& [name, child] : children_) out.push_back(name);
  return out;
}

Variables& Variables::at_path(const std::vector<std::string>& path) {
  Variables* node = this;
  for (const std::string& name : path) node = &node->children_[name];
  return *node;
}

const Variables* Variables::find_path(const std::vector<std::string>& path) const {
  return linnet::detail::find_node(*this, path);
}

Tensor Variables::value() const {
  if (fixed_) fail<ModuleError>("variables: {} is a static entry, not a tensor", fixed_->text());
  if (!leaf_)
    fail<ModuleError>("variables: expected a tensor, got a dictionary of {}",
                      linnet::detail::names_of_children(children_));
  if (!leaf_->single()) {
    fail<ModuleError>("variables: expected a tensor, got a tuple of {}", leaf_->tensors.size());
  }
  return leaf_->tensors[0];
}

const state::Value& Variables::leaf() const {
  if (!leaf_)
    fail<ModuleError>("variables: expected a leaf, got a dictionary of {}",
                      linnet::detail::names_of_children(children_));
  return *leaf_;
}
state::Value& Variables::leaf() { return const_cast<state::Value&>(std::as_const(*this).leaf()); }

Variables operator|(Variables earlier, const Variables& later) {
  if (earlier.is_leaf() || later.is_leaf()) return later;
  for (const auto& [name, child] : later.children_) {
    auto [slot, fresh] = earlier.children_.try_emplace(name, child);
    if (!fresh) slot->second = std::move(slot->second) | child;
  }
  return earlier;
}

void Variables::visit(tree::Visitor& visitor) {
  if (fixed_) {
    visitor.fixed(typeid(StaticMarker), fixed_->text());
    return;
  }
  for (const Box* box = box_ ? &*box_ : nullptr; box; box = box->inner.get()) {
    visitor.fixed(typeid(Box), box->kind + (box->variable_type ? box->variable_type->name() : "") +
                                   linnet::to_string(box->metadata));
  }
  if (leaf_) {
    if (!leaf_->tuple) {
      visitor.tensor(leaf_->tensors[0]);
      return;
    }
    visitor.enter(typeid(state::Value), leaf_->tensors.size());
    for (size_t i = 0; i < leaf_->tensors.size(); ++i) {
      visitor.child(static_cast<int64_t>(i));
      visitor.tensor(leaf_->tensors[i]);
    }
    visitor.leave();
    return;
  }
  visitor.enter(typeid(Variables), children_.size());
  for (auto& [name, child] : children_) {
    visitor.child(std::string_view(name));
    child.visit(visitor);
  }
  visitor.leave();
}

namespace {

/// A copy in which `f` has changed every box.
template <class F>
Variables map_boxes(const Variables& node, F&& f) {
  Variables out = node;
  for (auto& [name, child] : out.children()) child = map_boxes(child, f);
  if (node.box()) out.set_box(f(out));
  return out;
}

/// Sharding names describe the value without the new axis on the way in and with it on the way out.
Box with_axis(Box box, int64_t position, const Metadata& parameters, size_t rank, bool add) {
  const size_t axes = axis_count(box.metadata, rank);
  box.metadata = add ? linnet::add_axis(box.metadata, position, parameters, axes)
                     : linnet::remove_axis(box.metadata, position, parameters, axes);
  if (box.inner) {
    box.inner = std::make_shared<const Box>(with_axis(*box.inner, position, parameters, rank, add));
  }
  return box;
}

Variables change_axis(const Variables& variables, int64_t position, const Metadata& parameters,
                      bool add) {
  return map_boxes(variables, [&](const Variables& node) {
    const bool tensor = node.is_leaf() && !node.fixed() && node.leaf().single();
    const size_t rank = tensor ? node.leaf().tensors[0].rank() : 0;
    return with_axis(*node.box(), position, parameters, rank, add);
  });
}

}  // namespace

std::vector<std::pair<std::vector<std::string>, const Variables*>> flat_leaves(
    const Variables& variables) {
  return linnet::detail::flat_leaves(variables);
}

Variables partitioned(Tensor value, AxisNames names, std::optional<MeshAxes> mesh) {
  Metadata metadata{{"out_sharding", std::move(names)}};
  if (mesh) metadata.set("mesh", *mesh);
  return Variables(state::Value(std::move(value)),
                   Box{"Partitioned", std::move(metadata), nullptr});
}

Variables logically_partitioned(Tensor value, AxisNames names, std::optional<AxisRules> rules,
                                std::optional<MeshAxes> mesh) {
  Metadata metadata{{"out_sharding", std::move(names)}};
  if (rules) metadata.set("sharding_rules", *rules);
  if (mesh) metadata.set("mesh", *mesh);
  return Variables(state::Value(std::move(value)),
                   Box{"LogicallyPartitioned", std::move(metadata), nullptr});
}

Variables unbox(const Variables& variables) {
  return map_boxes(variables, [](const Variables&) { return std::optional<Box>(); });
}

Variables add_axis(const Variables& variables, int64_t position, const Metadata& parameters) {
  return change_axis(variables, position, parameters, true);
}
Variables remove_axis(const Variables& variables, int64_t position, const Metadata& parameters) {
  return change_axis(variables, position, parameters, false);
}

std::string to_string(const Variables& variables) {
  std::string out;
  for (const auto& [path, leaf] : flat_leaves(variables)) {
    out += tree::to_string(path) + ": ";
    if (leaf->fixed()) {
      out += leaf->fixed()->text();
    } else {
      const state::Value& value = leaf->leaf();
      for (size_t i = 0; i < value.tensors.size(); ++i) {
        out += (i ? ", " : "") + linnet::to_string(value.tensors[i].type());
      }
      if (leaf->box()) out += " " + leaf->box()->kind + linnet::to_string(leaf->box()->metadata);
    }
    out += '\n';
  }
  return out;
}

}  // namespace linnet::linen
