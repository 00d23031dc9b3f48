// Conversion between variables of the object API and leaves of functional variable dictionaries.
//
//   linen::Variables leaf = bridge::to_linen_var(nnx::Param(w));          // bare
//   nnx::Variable v = bridge::to_nnx_var("params", leaf);                 // of type Param
//   AttributeTree attrs = bridge::linen_vars_to_nnx_attrs(vars);    // {kernel: Param, …}
//   linen::Variables back = bridge::nnx_attrs_to_linen_vars(attrs);  // equals vars
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/bridge/attributes.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

/// Metadata key that says which box class a variable becomes in functional dictionaries.
inline constexpr std::string_view kLinenMetaType = "linen_meta_type";

/// A box class of functional dictionaries: which metadata it holds, and how they map to those of a
/// variable. `Partitioned` {out_sharding, mesh} and `LogicallyPartitioned` {out_sharding,
/// sharding_rules, mesh} are known.
struct BoxClass {
  /// Fields of the box; metadata under other names are dropped on the way to a box. Empty: all are
  /// kept.
  std::vector<std::string> fields;
  /// Fields of a box to metadata of a variable; empty: as they are.
  std::function<Metadata(const Metadata&)> to_nnx_metadata;
  /// The way back; empty: as they are.
  std::function<Metadata(const Metadata&)> from_nnx_metadata;
};

/// Adds a box class under the name that boxes carry as their kind (B-016, B-028). Replaces an
/// earlier one.
void register_box_class(std::string kind, BoxClass box_class);

/// True if a variable has no metadata beyond `hijax`, `ref`, `eager_sharding` and empty hook lists.
bool is_vanilla_variable(const nnx::Variable& variable);

/// The functional leaf of a variable (B-013 … B-019): bare if vanilla, a box of class
/// `linen_meta_type` if the metadata name one, else a box of class `metadata_type` that holds type
/// and metadata. The value is the one after get hooks; the variable does not change.
linen::Variables to_linen_var(const nnx::Variable& variable,
                              const std::string& metadata_type = "NNXMeta");

/// The variable of a functional leaf in `collection` (B-020 … B-029), whose variable type is
/// registered if need be. Hooks for creation do not run.
/// @throws ModuleError if the leaf is an NNXMeta of another type than the collection's.
nnx::Variable to_nnx_var(const std::string& collection, const linen::Variables& leaf);

/// The same for a whole dictionary; the level of collections goes (B-031 … B-033).
/// @throws ValueError ("duplicate variable path") if two collections hold the same path.
AttributeTree linen_vars_to_nnx_attrs(const linen::Variables& variables);

/// Each variable at (collection of its type, path) (B-034 … B-036).
/// @throws ValueError for leaves that are no variables ("cannot infer collection name") or of
/// unregistered types.
linen::Variables nnx_attrs_to_linen_vars(const AttributeTree& attributes);

/// Most derived first, stable otherwise: filters made in this order send each variable to its most
/// specific type (B-012).
std::vector<const nnx::VariableType*> sort_variable_types(
    std::vector<const nnx::VariableType*> types);

/// The name older code knows `nnx::register_variable_name` by.
const nnx::VariableType& register_variable_name_type_pair(std::string_view name,
                                                          const nnx::VariableType& type,
                                                          bool overwrite = false);

}  // namespace linnet::bridge

#pragma GCC visibility pop
