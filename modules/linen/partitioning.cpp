#include "linnet/linen/partitioning.h"

#include "linnet/detail/format.h"
#include "linnet/linen/layers_linear.h"
#include "linnet/linen/transforms.h"
#include "linnet/linen/transforms_jit.h"
#include "modules/layers/axis_names.h"

namespace linnet::linen {
namespace {

PartitionSpec spec_of_box(const Box& box) {
  if (box.variable_type) return partition_spec(box.metadata);
  const AxisNames* names = box.metadata.get<AxisNames>("out_sharding");
  return names ? spec_of(*names) : PartitionSpec();
}

bool is_logical(const Box& box) { return box.kind == "LogicallyPartitioned"; }

/// The mesh axes of a box. Logical names are translated by its own rules, else by those given.
PartitionSpec mesh_spec_of(const Box& box, const std::optional<AxisRules>& rules) {
  const PartitionSpec names = spec_of_box(box);
  if (!is_logical(box)) return names;
  const AxisRules* own = box.metadata.get<AxisRules>("sharding_rules");
  return logical_to_mesh_axes(names, own ? std::optional(*own) : rules);
}

/// The class that transformations were applied to: a VmapDense is a Dense.
std::string_view untransformed(std::string_view name) {
  static constexpr const char* kPrefixes[] = {
      detail::JitTransform<Dense>::kPrefix, detail::FoldRngsTransform::kPrefix,
      detail::VmapTransform::kPrefix,       detail::MapVariablesTransform::kPrefix,
      detail::RematTransform::kPrefix,      detail::ScanTransform::kPrefix,
      detail::RematScanTransform::kPrefix};
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view prefix : kPrefixes) {
      if (!name.starts_with(prefix)) continue;
      name.remove_prefix(prefix.size());
      found = true;
    }
  }
  return name;
}

/// A value under the constraint of a box that has one.
Tensor constrained(const Tensor& value, const Box& box) {
  if (box.kind != "Partitioned" && !is_logical(box)) return value;
  const MeshAxes* own = box.metadata.get<MeshAxes>("mesh");
  const Mesh mesh = own ? mesh_of(*own) : current_mesh();
  if (mesh.empty()) return value;
  const PartitionSpec names = spec_of_box(box);
  if (!is_logical(box)) return with_sharding_constraint(value, NamedSharding(mesh, names));
  const AxisRules* rules = box.metadata.get<AxisRules>("sharding_rules");
  return with_logical_constraint(
      value, names, {.rules = rules ? std::optional(*rules) : std::nullopt, .mesh = mesh});
}

/// The fault of one annotation, or nothing.
std::string fault_of(const Variables& leaf, const Mesh& mesh,
                     const std::optional<AxisRules>& rules) {
  const Box& box = *leaf.box();
  try {
    const NamedSharding sharding(mesh, mesh_spec_of(box, rules));
    for (const Tensor& tensor : leaf.leaf().tensors) (void)sharding.shard_shape(tensor.shape());
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

Variables boxed(Variables value, Box box) {
  if (value.box()) {
    if (box.inner) fail<ModuleError>("boxed: a {} round a box holds another already", box.kind);
    box.inner = std::make_shared<const Box>(*value.box());
  }
  value.set_box(std::move(box));
  return value;
}

bool is_axis_metadata(const Variables& node) { return node.box().has_value(); }

Variables unbox_once(const Variables& node) {
  Variables out = node;
  const bool more = node.box() && node.box()->inner;
  out.set_box(more ? std::optional<Box>(*node.box()->inner) : std::nullopt);
  return out;
}

Variables unbox(const Variables& tree, bool apply_constraint) {
  Variables out = tree;
  for (auto& [name, child] : out.children()) child = unbox(child, apply_constraint);
  if (apply_constraint && tree.box() && tree.is_leaf() && !tree.fixed()) {
    for (Tensor& tensor : out.leaf().tensors) tensor = constrained(tensor, *tree.box());
  }
  out.set_box({});
  return out;
}

Tensor constrained_value(const Variables& leaf) {
  return leaf.box() ? constrained(leaf.value(), *leaf.box()) : leaf.value();
}

Variables map_axis_meta(const std::function<Variables(const Variables&)>& f,
                        const Variables& tree) {
  if (tree.box()) return f(tree);
  Variables out = tree;
  for (auto& [name, child] : out.children()) child = map_axis_meta(f, child);
  return out;
}

Specs get_partition_spec(const Variables& variables) {
  Specs out;
  for (const auto& [path, leaf] : flat_leaves(variables)) {
    if (leaf->fixed()) continue;
    out[tree::to_string(path)] = leaf->box() ? spec_of_box(*leaf->box()) : PartitionSpec();
  }
  return out;
}

Shardings get_sharding(const Variables& variables, const Mesh& mesh) {
  Shardings out;
  for (const auto& [path, spec] : get_partition_spec(variables))
    out.emplace(path, NamedSharding(mesh, spec));
  return out;
}

Specs logical_to_mesh(const Specs& specs, const std::optional<AxisRules>& rules) {
  Specs out;
  for (const auto& [path, spec] : specs) out[path] = logical_to_mesh_axes(spec, rules);
  return out;
}

Shardings logical_to_mesh_sharding(const Specs& specs, const Mesh& mesh,
                                   const std::optional<AxisRules>& rules) {
  Shardings out;
  for (const auto& [path, spec] : logical_to_mesh(specs, rules))
    out.emplace(path, NamedSharding(mesh, spec));
  return out;
}

namespace detail {

Specs specs_by_rules(const AxisRules& rules, const ModuleTable& calls) {
  layers::ModuleClasses classes;
  for (const TableRow& row : calls.rows)
    classes.emplace(row.path, std::string(untransformed(row.class_name)));
  const auto scope = logical_axis_rules(rules);
  Specs out;
  for (const TableRow& row : calls.rows) {
    for (const auto& [collection, tree] : row.variables.children()) {
      for (const auto& [name, leaf] : flat_leaves(tree)) {
        if (leaf->fixed()) continue;
        std::vector<std::string> path = row.path;
        path.insert(path.end(), name.begin(), name.end());
        const bool single = leaf->leaf().tensors.size() == 1;
        PartitionSpec spec;
        if (leaf->box()) {
          spec = mesh_spec_of(*leaf->box(), rules);
        } else if (single) {
          spec = layers::natural_spec(classes, path, leaf->value().rank(), rules);
        }
        out.emplace(collection + "/" + tree::to_string(path), std::move(spec));
      }
    }
  }
  return out;
}

}  // namespace detail

void check_sharding(const Variables& variables, const Mesh& mesh,
                    const std::optional<AxisRules>& rules) {
  std::string faults;
  size_t count = 0;
  for (const auto& [path, leaf] : flat_leaves(variables)) {
    if (!leaf->box() || leaf->fixed()) continue;
    const std::string fault = fault_of(*leaf, mesh, rules);
    if (fault.empty()) continue;
    ++count;
    faults += fmt::format("\n  {}: {}", tree::to_string(path), fault);
  }
  if (count)
    fail<SpecError>("check_sharding: {} wrong annotations for {}{}", count, to_string(mesh),
                    faults);
}

Variables boxed_param(Scope& scope, const std::string& name,
                      const std::function<Variables(const Key&)>& init) {
  scope.param(name, init);
  return *scope.find_leaf("params", {name});
}

}  // namespace linnet::linen
