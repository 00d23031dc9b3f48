#include "linnet/bridge/convert.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "linnet/detail/format.h"

namespace linnet::bridge {
namespace {

class BoxClasses {
 public:
  BoxClasses() {
    classes_["Partitioned"] = {{"out_sharding", "mesh"}, {}, {}};
    classes_["LogicallyPartitioned"] = {{"out_sharding", "sharding_rules", "mesh"}, {}, {}};
  }
  void add(std::string kind, BoxClass box_class) {
    std::lock_guard lock(mutex_);
    classes_[std::move(kind)] = std::move(box_class);
  }
  /// A class nobody described keeps everything.
  BoxClass find(const std::string& kind) {
    std::lock_guard lock(mutex_);
    const auto found = classes_.find(kind);
    return found == classes_.end() ? BoxClass{} : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, BoxClass> classes_;
};

BoxClasses& box_classes() {
  static BoxClasses* classes = new BoxClasses;
  return *classes;
}

bool is_hook_list(const std::string& name) {
  return name.starts_with("on_") || name.ends_with("_hooks");
}

bool holds_nothing(const MetadataValue& value) {
  if (const auto* hooks = std::get_if<std::vector<ValueHook>>(&value)) return hooks->empty();
  if (const auto* hooks = std::get_if<std::vector<AxisHook>>(&value)) return hooks->empty();
  return std::holds_alternative<std::monostate>(value);
}

/// As of get hooks; tuples have none.
state::Value read_value(const nnx::Variable& variable) {
  state::Value raw = variable.raw_value();
  return raw.single() ? state::Value(variable.value()) : raw;
}

linen::Box box_of_class(const std::string& kind, Metadata metadata) {
  const BoxClass box_class = box_classes().find(kind);
  metadata.erase(kLinenMetaType);
  if (box_class.from_nnx_metadata) metadata = box_class.from_nnx_metadata(metadata);
  if (!box_class.fields.empty()) {
    Metadata kept;
    for (const std::string& field : box_class.fields) {
      if (const MetadataValue* value = metadata.find(field)) kept.set(field, *value);
    }
    metadata = std::move(kept);
  }
  return {kind, std::move(metadata), nullptr};
}

/// A variable without running hooks for creation: it existed before.
nnx::Variable restored(const nnx::VariableType& type, state::Value value, Metadata metadata) {
  return nnx::Variable(nnx::make_variable_cell(type, std::move(value), std::move(metadata)));
}

}  // namespace

void register_box_class(std::string kind, BoxClass box_class) {
  box_classes().add(std::move(kind), std::move(box_class));
}

bool is_vanilla_variable(const nnx::Variable& variable) {
  const auto& entries = variable.metadata().entries();
  return std::all_of(entries.begin(), entries.end(), [](const auto& entry) {
    const auto& [name, value] = entry;
    if (name == "hijax" || name == "ref" || name == "eager_sharding") return true;
    return is_hook_list(name) && holds_nothing(value);
  });
}

linen::Variables to_linen_var(const nnx::Variable& variable, const std::string& metadata_type) {
  state::Value value = read_value(variable);
  if (const std::string* kind = variable.metadata().get<std::string>(kLinenMetaType)) {
    return linen::Variables(std::move(value), box_of_class(*kind, variable.metadata()));
  }
  if (is_vanilla_variable(variable)) return linen::Variables(std::move(value));
  return linen::Variables(std::move(value),
                          linen::Box{metadata_type, variable.metadata(), &variable.type()});
}

nnx::Variable to_nnx_var(const std::string& collection, const linen::Variables& leaf) {
  const nnx::VariableType& type = nnx::variable_type_from_name(collection, nullptr, true);
  const std::optional<linen::Box>& box = leaf.box();
  if (!box) return restored(type, leaf.leaf(), {});
  if (box->variable_type) {
    if (box->variable_type != &type) {
      fail<ModuleError>("to_nnx_var: collection '{}' is of type {}, the {} of type {}", collection,
                        type.name(), box->kind, box->variable_type->name());
    }
    return restored(type, leaf.leaf(), box->metadata);
  }
  const BoxClass box_class = box_classes().find(box->kind);
  Metadata metadata =
      box_class.to_nnx_metadata ? box_class.to_nnx_metadata(box->metadata) : box->metadata;
  metadata.set(kLinenMetaType, box->kind);
  return restored(type, leaf.leaf(), std::move(metadata));
}

AttributeTree linen_vars_to_nnx_attrs(const linen::Variables& variables) {
  AttributeTree out;
  std::map<std::vector<std::string>, std::string> seen;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (path.empty())
      fail<ValueError>("linen_vars_to_nnx_attrs: expected a dictionary of collections, got a leaf");
    const std::string& collection = path.front();
    const std::vector<std::string> below(path.begin() + 1, path.end());
    const auto [first, fresh] = seen.emplace(below, collection);
    if (!fresh) {
      fail<ValueError>(
          "linen_vars_to_nnx_attrs: duplicate variable path {}: it is in '{}' ({}) and in '{}' "
          "({})",
          fmt::join(below, "/"), first->second,
          nnx::variable_type_from_name(first->second, nullptr, true).name(), collection,
          nnx::variable_type_from_name(collection, nullptr, true).name());
    }
    AttributeTree& node = out.at_path(below);
    if (leaf->fixed())
      node = AttributeTree(StaticAttribute{collection, leaf->fixed()});
    else
      node = to_nnx_var(collection, *leaf);
  }
  return out;
}

linen::Variables nnx_attrs_to_linen_vars(const AttributeTree& attributes) {
  linen::Variables out;
  for (const auto& [path, leaf] : flat_leaves(attributes)) {
    if (!leaf->is_variable() && !leaf->is_static()) {
      fail<ValueError>(
          "nnx_attrs_to_linen_vars: cannot infer collection name of '{}': it is no variable",
          fmt::join(path, "/"));
    }
    std::vector<std::string> target{leaf->is_static()
                                        ? leaf->static_entry().collection
                                        : nnx::variable_name_from_type(leaf->variable().type())};
    target.insert(target.end(), path.begin(), path.end());
    out.at_path(target) = leaf->is_static() ? linen::Variables(leaf->static_entry().entry)
                                            : to_linen_var(leaf->variable());
  }
  return out;
}

std::vector<const nnx::VariableType*> sort_variable_types(
    std::vector<const nnx::VariableType*> types) {
  const auto depth = [](const nnx::VariableType* type) {
    size_t count = 0;
    for (; type->parent(); type = type->parent()) ++count;
    return count;
  };
  std::stable_sort(types.begin(), types.end(),
                   [&](const auto* a, const auto* b) { return depth(a) > depth(b); });
  return types;
}

const nnx::VariableType& register_variable_name_type_pair(std::string_view name,
                                                          const nnx::VariableType& type,
                                                          bool overwrite) {
  return nnx::register_variable_name(name, type, overwrite);
}

}  // namespace linnet::bridge
