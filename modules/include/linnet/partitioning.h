// Annotations for several devices, for both module APIs: logical names of dimensions, rules that
// translate them to mesh axes, and constraints. linen/partitioning.h and nnx/partitioning.h read
// the annotations of whole models.
//
//   auto rules = logical_axis_rules({{{"batch", "data"}, {"mlp", "model"}, {"embed", kNone}}});
//   logical_to_mesh_axes(P("batch", "mlp"));                  // P('data', 'model')
//   h = with_logical_constraint(h, P("batch", "mlp"));        // if a mesh is current
#pragma once

#include <optional>
#include <string>

#include "linnet/metadata.h"
#include "linnet/sharding.h"

#pragma GCC visibility push(default)

namespace linnet {

/// The mesh of an annotation: the one it was made with, or an abstract one of its axes.
Mesh mesh_of(const MeshAxes& axes);
/// The names of an annotation, as they are.
PartitionSpec spec_of(const AxisNames& names);
/// Metadata that say what a sharding says: `out_sharding` and `mesh`.
Metadata sharding_metadata(const NamedSharding& sharding);

/// The rules of this thread; none at first.
const AxisRules& get_logical_axis_rules();
void set_logical_axis_rules(AxisRules rules);

/// Keeps rules in effect while it lives. Nested ones replace, they do not add.
class [[nodiscard]] LogicalAxisRulesScope {
 public:
  explicit LogicalAxisRulesScope(AxisRules rules);
  ~LogicalAxisRulesScope();
  LogicalAxisRulesScope(const LogicalAxisRulesScope&) = delete;
  LogicalAxisRulesScope& operator=(const LogicalAxisRulesScope&) = delete;

 private:
  AxisRules previous_;
};
inline LogicalAxisRulesScope logical_axis_rules(AxisRules rules) {
  return LogicalAxisRulesScope(std::move(rules));
}

/// Both; either alone if the other is empty. @throws SpecError if they translate one name in two
/// ways.
AxisRules composite_rules(const AxisRules& a, const AxisRules& b);

/// Mesh axes for the logical names of an array's dimensions, by `rules` or those of the thread. The
/// rules are gone through in order: one applies to the dimension of its name, if that has none yet
/// and none of the rule's mesh axes is taken in this array. Dimensions without an applicable rule
/// are not divided.
/// @throws DuplicateAxisError if two dimensions have one name.
PartitionSpec logical_to_mesh_axes(const PartitionSpec& names,
                                   const std::optional<AxisRules>& rules = {});
/// No names, no spec.
std::optional<PartitionSpec> logical_to_mesh_axes(const std::optional<PartitionSpec>& names,
                                                  const std::optional<AxisRules>& rules = {});

/// As variables translate their annotation: by the rules of the thread and their own; names without
/// a rule stay, since they are mesh axes. Each name of a list is translated.
/// @throws SpecError if the two rules contradict each other.
PartitionSpec apply_rules(const PartitionSpec& spec, const AxisRules& own_rules = {});
NamedSharding apply_rules(const NamedSharding& sharding, const AxisRules& own_rules = {});

/// The spec of a variable with this metadata: `out_sharding` after `apply_rules` with
/// `sharding_rules`; empty without sharding.
PartitionSpec partition_spec(const Metadata& metadata);

/// What happens to names that no rule matches.
enum class RulesFallback : uint8_t {
  kAxisIsUnsharded,  ///< their dimensions are not divided
  kRaiseError,       ///< SpecError
  kNoConstraint      ///< the array is left alone
};

struct LogicalConstraintOptions {
  std::optional<AxisRules> rules = {};  ///< in place of the thread's
  std::optional<Mesh> mesh = {};        ///< in place of the current one
  RulesFallback fallback = RulesFallback::kAxisIsUnsharded;
};

/// `with_sharding_constraint` by logical names. Without names, without rules or without a mesh it
/// is the identity, so that annotated models run on one device as they are.
/// @throws SpecError as the fallback says, and as `with_sharding_constraint`.
Tensor with_logical_constraint(const Tensor& x, const std::optional<PartitionSpec>& names,
                               const LogicalConstraintOptions& options = {});

}  // namespace linnet

#pragma GCC visibility pop
