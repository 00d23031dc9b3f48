// Annotations of object modules: the specs and shardings of their variables, and eager sharding.
//
//   nnx::Linear up(512, 2048, {.kernel_init = nnx::with_partitioning(init, {"embed", "mlp"})},
//   rngs); const nnx::Specs specs = nnx::get_partition_spec(up);             // "kernel" -> P(…)
//   const auto abstract = nnx::get_abstract_model(make_model, mesh);  // nothing is allocated
//
// A variable with `out_sharding` is checked against the mesh as soon as it is made: its own (`mesh`
// among its metadata), else the current one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/nnx/graph.h"
#include "linnet/nnx/graph_tools.h"
#include "linnet/nnx/layers_init.h"
#include "linnet/partitioning.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using Specs = std::map<std::string, PartitionSpec>;
using Shardings = std::map<std::string, NamedSharding>;

/// The spec of a variable: its `out_sharding`, translated by the rules of the thread and its own;
/// `P()` without one; none for a variable that holds a tuple.
std::optional<PartitionSpec> get_var_pspec(const Variable& variable);

/// The spec of each variable, by path; tensors that are no variables are whole. Values may be
/// abstract.
Specs get_partition_spec(const State& state);
/// The same with a mesh. @throws as `check_spec`.
Shardings get_named_sharding(const State& state, const Mesh& mesh);
template <class M>
  requires(!std::is_same_v<M, State>)
Specs get_partition_spec(M& module) {
  return nnx::get_partition_spec(nnx::state(module));
}
template <class M>
  requires(!std::is_same_v<M, State>)
Shardings get_named_sharding(M& module, const Mesh& mesh) {
  return nnx::get_named_sharding(nnx::state(module), mesh);
}

namespace detail {
Specs specs_by_rules(const AxisRules& rules, const std::vector<GraphItem>& items);
}
/// Specs of all variables, on mesh axes, from a table of rules alone: by the `out_sharding` of a
/// variable if it has one (as `get_var_pspec` under these rules), else by the natural names of its
/// layer (layers/axis_names.h); `P()` without either. Values may be abstract.
/// @throws as `logical_to_mesh_axes`; SpecError if a variable's own rules contradict these.
template <class M>
Specs specs_by_rules(const AxisRules& rules, const M& module) {
  return detail::specs_by_rules(rules, nnx::iter_graph(module));
}

/// The shardings of the variables that are annotated, on their own mesh or the current one; those
/// without annotation, or without any mesh, have none.
Shardings as_abstract(const State& state);
template <class M>
  requires(!std::is_same_v<M, State>)
Shardings as_abstract(M& module) {
  return nnx::as_abstract(nnx::state(module));
}

/// A model of which only types are known. Shared variables occur once.
struct AbstractModel {
  GraphDef graphdef;
  State state;
  Shardings shardings;
};
/// What `make` would make on a mesh, without computing or allocating anything.
template <class F>
AbstractModel get_abstract_model(F make, const Mesh& mesh) {
  const auto scope = set_mesh(mesh);
  auto model = eval_shape(std::move(make));
  auto [graphdef, state] = nnx::split(model);
  Shardings shardings = nnx::get_named_sharding(state, mesh);
  return {std::move(graphdef), std::move(state), std::move(shardings)};
}

/// Metadata of every variable of a state with a new axis at `index`, or without it.
/// @throws PartitioningUnspecifiedError if a variable is annotated and `transform_metadata` has no
/// `partition_name`; SpecError if another name stands there.
void add_axis(const State& state, int64_t index, const Metadata& transform_metadata);
void remove_axis(const State& state, int64_t index, const Metadata& transform_metadata);

/// An initialiser whose variable has that sharding.
/// @throws MeshError if `mesh` is given and another than the sharding's.
ParamInit with_partitioning(Initializer initializer, const NamedSharding& sharding,
                            const std::optional<MeshAxes>& mesh = {}, Metadata more = {});

/// Takes an entry away. @throws ModuleError for those that say what a variable is: `hijax`, `ref`,
/// `eager_sharding`.
void del_metadata(Variable& variable, std::string_view name);

/// Whether variables are checked, and placed, when they are made: as the innermost
/// `use_eager_sharding` of this thread says, else the process (`set_eager_sharding`, on at first).
/// `eager_sharding` among a variable's metadata has the last word.
bool using_eager_sharding();
void set_eager_sharding(bool on);

/// Keeps a choice while it lives.
class [[nodiscard]] EagerShardingScope {
 public:
  explicit EagerShardingScope(bool on);
  EagerShardingScope(EagerShardingScope&& other) noexcept
      : previous_(other.previous_), active_(std::exchange(other.active_, false)) {}
  EagerShardingScope& operator=(EagerShardingScope&&) = delete;
  ~EagerShardingScope();
  /// Leaves the choice for the rest of the thread.
  void release() { active_ = false; }

 private:
  std::optional<bool> previous_;
  bool active_ = true;
};
inline EagerShardingScope use_eager_sharding(bool on) { return EagerShardingScope(on); }

/// Whether an annotated variable needs a mesh. Off at first: without a mesh there is one device,
/// and annotated models run on it as they are. On, making such a variable is a MeshError.
bool eager_sharding_needs_mesh();
void set_eager_sharding_needs_mesh(bool on);

}  // namespace linnet::nnx

#pragma GCC visibility pop
