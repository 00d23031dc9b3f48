#include "linnet/nnx/partitioning.h"

#include <algorithm>
#include <atomic>

#include "linnet/detail/format.h"
#include "modules/layers/axis_names.h"
#include "modules/nnx/eager_sharding.h"

namespace linnet::nnx {
namespace {

std::atomic<bool> eager_by_default{true}, mesh_needed{false};
thread_local std::optional<bool> eager_here;

const AxisNames* annotation(const Metadata& metadata) {
  const AxisNames* names = metadata.get<AxisNames>("out_sharding");
  return names && !names->names.empty() ? names : nullptr;
}

Mesh mesh_for(const Metadata& metadata) {
  const MeshAxes* own = metadata.get<MeshAxes>("mesh");
  return own ? mesh_of(*own) : current_mesh();
}

size_t rank_of(const state::Value& value) {
  return value.single() && value.tensors[0].defined() ? value.tensors[0].rank() : 0;
}

template <class F>
void edit_metadata(const State& state, F&& edit) {
  std::vector<std::pair<VariableCellPtr, Metadata>> edited;  // all or none
  for (const auto& [path, leaf] : state.entries()) {
    if (!leaf.cell) continue;
    const size_t rank = axis_count(leaf.cell->metadata, rank_of(leaf.cell->raw()));
    edited.emplace_back(leaf.cell, edit(leaf.cell->metadata, rank));
  }
  for (auto& [cell, metadata] : edited) cell->metadata = std::move(metadata);
}

}  // namespace

std::optional<PartitionSpec> get_var_pspec(const Variable& variable) {
  if (annotation(variable.metadata())) return partition_spec(variable.metadata());
  if (variable.cell()->raw().single()) return PartitionSpec();
  return std::nullopt;
}

Specs get_partition_spec(const State& state) {
  Specs out;
  for (const auto& [path, leaf] : state.entries()) {
    const std::optional<PartitionSpec> spec =
        leaf.cell ? get_var_pspec(Variable(leaf.cell)) : PartitionSpec();
    if (spec) out.emplace(tree::to_string(path), *spec);
  }
  return out;
}

Shardings get_named_sharding(const State& state, const Mesh& mesh) {
  Shardings out;
  for (const auto& [path, spec] : nnx::get_partition_spec(state))
    out.emplace(path, NamedSharding(mesh, spec));
  return out;
}

namespace detail {

Specs specs_by_rules(const AxisRules& rules, const std::vector<GraphItem>& items) {
  layers::ModuleClasses classes;
  for (const GraphItem& item : items) {
    if (item.kind == GraphItem::Kind::kNode)
      classes.emplace(tree::names(item.path), short_type_name(*item.type));
  }
  const auto scope = logical_axis_rules(rules);
  Specs out;
  for (const GraphItem& item : items) {
    if (item.kind == GraphItem::Kind::kTensor) out.emplace(tree::to_string(item.path), P());
    if (item.kind != GraphItem::Kind::kVariable) continue;
    std::optional<PartitionSpec> spec = get_var_pspec(Variable(item.leaf.cell));
    if (!spec) continue;
    if (!annotation(item.leaf.cell->metadata)) {
      spec = layers::natural_spec(classes, tree::names(item.path), rank_of(item.leaf.cell->raw()),
                                  rules);
    }
    out.emplace(tree::to_string(item.path), std::move(*spec));
  }
  return out;
}

}  // namespace detail

Shardings as_abstract(const State& state) {
  Shardings out;
  for (const auto& [path, leaf] : state.entries()) {
    if (!leaf.cell || !annotation(leaf.cell->metadata)) continue;
    const Mesh mesh = mesh_for(leaf.cell->metadata);
    if (mesh.empty()) continue;
    out.emplace(tree::to_string(path), NamedSharding(mesh, partition_spec(leaf.cell->metadata)));
  }
  return out;
}

void add_axis(const State& state, int64_t index, const Metadata& transform_metadata) {
  edit_metadata(state, [&](const Metadata& metadata, size_t rank) {
    return linnet::add_axis(metadata, index, transform_metadata, rank);
  });
}
void remove_axis(const State& state, int64_t index, const Metadata& transform_metadata) {
  edit_metadata(state, [&](const Metadata& metadata, size_t rank) {
    return linnet::remove_axis(metadata, index, transform_metadata, rank);
  });
}

ParamInit with_partitioning(Initializer initializer, const NamedSharding& sharding,
                            const std::optional<MeshAxes>& mesh, Metadata more) {
  if (mesh && mesh_of(*mesh) != sharding.mesh()) {
    fail<MeshError>("with_partitioning: the mesh of the sharding is {}, but {} is given",
                    to_string(sharding.mesh()), to_string(mesh_of(*mesh)));
  }
  const Metadata metadata = sharding_metadata(sharding);
  for (const auto& [name, entry] : metadata.entries()) more.set(name, MetadataValue(entry));
  return ParamInit(std::move(initializer), std::move(more));
}

void check_fixed_metadata(const VariableType& type, const Metadata& before, std::string_view name,
                          const MetadataValue* value) {
  if (name != "hijax" && name != "ref" && name != "eager_sharding") return;
  const MetadataValue* present = before.find(name);
  if (value && present && *value == *present) return;
  fail<ModuleError>("{}: '{}' says what the variable is and cannot change once it is made",
                    type.name(), name);
}

void del_metadata(Variable& variable, std::string_view name) {
  check_fixed_metadata(variable.type(), variable.metadata(), name, nullptr);
  variable.cell()->metadata.erase(name);
}

bool using_eager_sharding() { return eager_here.value_or(eager_by_default); }
void set_eager_sharding(bool on) { eager_by_default = on; }
EagerShardingScope::EagerShardingScope(bool on) : previous_(std::exchange(eager_here, on)) {}
EagerShardingScope::~EagerShardingScope() {
  if (active_) eager_here = previous_;
}

bool eager_sharding_needs_mesh() { return mesh_needed; }
void set_eager_sharding_needs_mesh(bool on) { mesh_needed = on; }

state::Value placed(const VariableType& type, state::Value value, const Metadata& metadata) {
  const AxisNames* names = annotation(metadata);
  if (!names) return value;
  const bool* own = metadata.get<bool>("eager_sharding");
  if (!(own ? *own : using_eager_sharding())) return value;
  const Mesh mesh = mesh_for(metadata);
  if (mesh.empty()) {
    if (!mesh_needed) return value;
    fail<MeshError>(
        "{}: a variable annotated {} needs a mesh\n"
        "  hint: make one current (set_mesh), name it among the metadata (mesh), or switch "
        "use_eager_sharding(false)",
        type.name(), to_string(spec_of(*names)));
  }
  const std::vector<AxisType>& types = mesh.axis_types();
  if (std::adjacent_find(types.begin(), types.end(), std::not_equal_to<>()) != types.end()) {
    fail<MeshError>(
        "{}: the axes of a mesh for eager sharding are all Auto or all Explicit, got {}",
        type.name(), to_string(mesh));
  }
  const NamedSharding sharding(mesh, partition_spec(metadata));
  for (Tensor& tensor : value.tensors) tensor = with_sharding_constraint(tensor, sharding);
  return value;
}

}  // namespace linnet::nnx
