// bridge::AttributeTree: the variables of a wrapped functional module, by scope and name.
//
//   AttributeTree tree{{"dense", {{"kernel", nnx::Param(w)}}}};
//   Tensor kernel = tree["dense"]["kernel"];
//   tree["dense"]["kernel"] = kernel * 0.5f;           // writes into the variable
//
// Assigning one tree to another writes into the variables both have, so that programs which
// captured them see the new values; copies are independent.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/linen/variables.h"
#include "linnet/nnx/variable.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

class Module;

/// An entry without arrays, such as a graph definition, and the collection it belongs to.
struct StaticAttribute {
  std::string collection;
  std::shared_ptr<const StaticEntry> entry;
};

class AttributeTree {
 public:
  using Map = std::map<std::string, AttributeTree, std::less<>>;

  /// An empty dictionary.
  AttributeTree() = default;
  AttributeTree(std::initializer_list<std::pair<const std::string, AttributeTree>> children);
  AttributeTree(nnx::Variable variable);  // NOLINT(runtime/explicit)
  /// A value that is no variable; it belongs to no collection.
  AttributeTree(Tensor plain);           // NOLINT(runtime/explicit)
  AttributeTree(StaticAttribute entry);  // NOLINT(runtime/explicit)

  AttributeTree(const AttributeTree&) = default;
  AttributeTree(AttributeTree&&) = default;
  AttributeTree& operator=(const AttributeTree& other);
  AttributeTree& operator=(AttributeTree&& other);
  /// Writes into the variable; on an empty node, makes a plain value of it.
  AttributeTree& operator=(Tensor value);
  /// Writes value and metadata into a variable of the same kind; otherwise takes its place.
  AttributeTree& operator=(nnx::Variable variable);

  bool is_variable() const { return variable_.has_value(); }
  bool is_static() const { return entry_.has_value(); }
  bool is_leaf() const { return variable_ || plain_ || entry_; }
  bool empty() const { return !is_leaf() && children_.empty(); }
  size_t size() const { return children_.size(); }
  bool contains(std::string_view name) const { return children_.find(name) != children_.end(); }
  std::vector<std::string> keys() const;

  /// @throws ModuleError naming the entries there are.
  AttributeTree& operator[](std::string_view name);
  const AttributeTree& operator[](std::string_view name) const;
  /// The entry at a path, made if absent. @throws ValueError if a leaf is in the way.
  AttributeTree& at_path(const std::vector<std::string>& path);
  /// Null if absent.
  const AttributeTree* find_path(const std::vector<std::string>& path) const;
  const Map& children() const { return children_; }
  Map& children() { return children_; }

  /// @throws ModuleError if this is no variable.
  nnx::Variable& variable();
  const nnx::Variable& variable() const;
  const StaticAttribute& static_entry() const { return *entry_; }
  /// The tensor of a leaf. @throws ModuleError for dictionaries, tuples and static entries.
  Tensor value() const;
  operator Tensor() const { return value(); }  // NOLINT(runtime/explicit)
  Shape shape() const { return value().shape(); }
  DType dtype() const { return value().dtype(); }

  /// As a node of a tree of its own.
  void visit(tree::Visitor& visitor);
  /// The children alone, as fields of the node that owns this tree.
  void visit_children(tree::Visitor& visitor);

 private:
  void replace(AttributeTree&& other);
  Map children_;
  std::optional<nnx::Variable> variable_;
  std::optional<Tensor> plain_;
  std::optional<StaticAttribute> entry_;
};

/// Every leaf with its path, in order. The leaves are those of `tree`.
std::vector<std::pair<std::vector<std::string>, const AttributeTree*>> flat_leaves(
    const AttributeTree& tree);
void flat_leaves(const AttributeTree&& tree) = delete;

/// Merges by leaf path: `later` wins, what only `earlier` has stays (B-038).
AttributeTree merge(const AttributeTree& earlier, const AttributeTree& later);

namespace detail {

struct ModuleType;

/// A visitor that is told about the attribute trees and bridge modules it meets; it may add to
/// them.
class AttributeVisitor : public tree::PathVisitor {
 public:
  /// Called before the children of `tree` are visited.
  virtual void attributes(AttributeTree& tree) = 0;
  /// Called after everything below a module has been visited, at the module's path.
  virtual void left_module(Module&, const ModuleType&) {}
};
/// Of a visitor that has no use for attributes, which are not shown to it.
class PassesOverAttributes {
 public:
  virtual ~PassesOverAttributes() = default;
};

}  // namespace detail
}  // namespace linnet::bridge

namespace linnet::tree {
template <>
struct Traits<bridge::AttributeTree> {
  static void visit(bridge::AttributeTree& tree, Visitor& visitor) { tree.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
