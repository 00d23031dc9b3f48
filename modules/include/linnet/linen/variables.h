// linen::Variables: the nested dictionary of collections that functional modules read and return.
//
//   linen::Variables vars = linen::init(model, Key(0), x);
//   Shape s = vars["params"]["dense"]["kernel"].shape();
//   Tensor kernel = vars["params"]["dense"]["kernel"];
//   vars = vars | updates;                                  // later entries win
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/metadata.h"
#include "linnet/state.h"
#include "linnet/tree.h"
#include "linnet/variable_type.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// Axis metadata round a leaf: which box class, and what it holds beside the value.
struct Box {
  std::string kind;  ///< "Partitioned", "LogicallyPartitioned", "NNXMeta" or a user's class
  Metadata metadata;
  const VariableType* variable_type = nullptr;  ///< of an NNXMeta
  std::shared_ptr<const Box> inner = nullptr;   ///< round the value, inside this one
  bool operator==(const Box& other) const;
};

class Variables {
 public:
  using Map = std::map<std::string, Variables, std::less<>>;

  /// An empty dictionary.
  Variables() = default;
  Variables(std::initializer_list<std::pair<const std::string, Variables>> entries)
      : children_(entries) {}
  Variables(Tensor value) : leaf_(state::Value(std::move(value))) {}  // NOLINT(runtime/explicit)
  Variables(state::Value value, std::optional<Box> box = {})
      : leaf_(std::move(value)), box_(std::move(box)) {}
  explicit Variables(std::shared_ptr<const StaticEntry> entry) : fixed_(std::move(entry)) {}

  bool is_leaf() const { return leaf_.has_value() || fixed_ != nullptr; }
  bool empty() const { return !is_leaf() && children_.empty(); }
  size_t size() const { return children_.size(); }

  /// Entry of a dictionary. @throws ModuleError naming the entries there are.
  const Variables& operator[](std::string_view name) const;
  bool contains(std::string_view name) const { return children_.find(name) != children_.end(); }
  std::vector<std::string> keys() const;
  const Map& children() const { return children_; }
  Map& children() { return children_; }
  /// The entry at a path, made if absent.
  Variables& at_path(const std::vector<std::string>& path);
  /// Null if absent.
  const Variables* find_path(const std::vector<std::string>& path) const;

  /// The tensor of a leaf, without its box. @throws ModuleError for dictionaries, tuples and static
  /// entries.
  Tensor value() const;
  operator Tensor() const { return value(); }  // NOLINT(runtime/explicit)
  Shape shape() const { return value().shape(); }
  DType dtype() const { return value().dtype(); }
  const state::Value& leaf() const;
  state::Value& leaf();
  const std::optional<Box>& box() const { return box_; }
  void set_box(std::optional<Box> box) { box_ = std::move(box); }
  const std::shared_ptr<const StaticEntry>& fixed() const { return fixed_; }

  /// Merges dictionaries recursively; entries of `later` win.
  friend Variables operator|(Variables earlier, const Variables& later);

  void visit(tree::Visitor& visitor);

 private:
  Map children_;
  std::optional<state::Value> leaf_;
  std::optional<Box> box_;
  std::shared_ptr<const StaticEntry> fixed_;
};

/// Every leaf's path (collection first) and node, in order. The nodes are those of `variables`.
std::vector<std::pair<std::vector<std::string>, const Variables*>> flat_leaves(
    const Variables& variables);
void flat_leaves(const Variables&& variables) = delete;

/// A box with sharding names, one per dimension (L-106).
Variables partitioned(Tensor value, AxisNames names, std::optional<MeshAxes> mesh = {});
Variables logically_partitioned(Tensor value, AxisNames names, std::optional<AxisRules> rules = {},
                                std::optional<MeshAxes> mesh = {});
/// All boxes removed (L-104).
Variables unbox(const Variables& variables);
/// `add_axis`/`remove_axis` on every box below (B-141); arrays are not touched.
Variables add_axis(const Variables& variables, int64_t position, const Metadata& parameters);
Variables remove_axis(const Variables& variables, int64_t position, const Metadata& parameters);
std::string to_string(const Variables& variables);

}  // namespace linnet::linen

namespace linnet::tree {
template <>
struct Traits<linen::Variables> {
  static void visit(linen::Variables& variables, Visitor& visitor) { variables.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
