#include "linnet/partitioning.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet {
namespace {

thread_local AxisRules thread_rules;

std::string text_of(const AxisRules& rules) {
  std::string out;
  for (const auto& [name, target] : rules.rules)
    out += fmt::format("{}'{}' -> {}", out.empty() ? "" : ", ", name, to_string(target));
  return out.empty() ? "none" : out;
}

std::vector<SpecEntry> targets_of(const AxisRules& rules, const std::string& name) {
  std::vector<SpecEntry> out;
  for (const auto& [from, to] : rules.rules) {
    if (from == name) out.push_back(to);
  }
  return out;
}

/// Logical names of one array on their way to mesh axes.
class Translation {
 public:
  explicit Translation(const PartitionSpec& names) {
    for (size_t d = 0; d < names.size(); ++d) {
      for (const std::string& name : names[d].axes()) places_.push_back({name, d, std::nullopt});
    }
  }

  void apply(const AxisRules& rules) {
    for (const auto& [name, target] : rules.rules) {
      for (Place& place : places_) {
        if (place.name == name && !place.target && is_free(target)) place.target = target;
      }
    }
  }

  /// What no rule has settled becomes what `f` says for the name.
  template <class F>
  void settle(F&& f) {
    for (Place& place : places_) {
      if (!place.target) place.target = f(place.name);
    }
  }

  std::vector<std::string> unsettled() const {
    std::vector<std::string> out;
    for (const Place& place : places_) {
      if (!place.target) out.push_back(place.name);
    }
    return out;
  }

  PartitionSpec spec(const PartitionSpec& names) const {
    PartitionSpec::Entries out;
    for (size_t d = 0; d < names.size(); ++d) out.push_back(entry(d, names[d]));
    return PartitionSpec(std::move(out), names.pending());
  }

 private:
  struct Place {
    std::string name;
    size_t dimension;
    std::optional<SpecEntry> target;
  };

  bool is_free(const SpecEntry& target) const {
    for (const Place& place : places_) {
      if (!place.target) continue;
      for (const std::string& axis : place.target->axes()) {
        if (std::find(target.axes().begin(), target.axes().end(), axis) != target.axes().end())
          return false;
      }
    }
    return true;
  }

  SpecEntry entry(size_t dimension, const SpecEntry& before) const {
    if (before.axes().empty()) return before;
    std::vector<std::string> axes;
    bool open = false;
    for (const Place& place : places_) {
      if (place.dimension != dimension) continue;
      open = open || place.target->unconstrained();
      axes.insert(axes.end(), place.target->axes().begin(), place.target->axes().end());
    }
    return axes.empty() && open ? SpecEntry(kUnconstrained) : SpecEntry(std::move(axes));
  }

  std::vector<Place> places_;
};

void require_different_names(const PartitionSpec& names) {
  std::vector<std::pair<std::string, size_t>> seen;
  for (size_t d = 0; d < names.size(); ++d) {
    for (const std::string& name : names[d].axes()) {
      const auto found = std::find_if(seen.begin(), seen.end(),
                                      [&](const auto& entry) { return entry.first == name; });
      if (found != seen.end()) {
        fail<DuplicateAxisError>("logical_to_mesh_axes: '{}' names dimensions {} and {} of {}",
                                 name, found->second, d, to_string(names));
      }
      seen.emplace_back(name, d);
    }
  }
}

}  // namespace

Mesh mesh_of(const MeshAxes& axes) {
  if (axes.mesh) return *axes.mesh;
  std::vector<int64_t> sizes;
  std::vector<std::string> names;
  for (const auto& [name, size] : axes.axes) {
    names.push_back(name);
    sizes.push_back(size);
  }
  return AbstractMesh(std::move(sizes), names);
}

PartitionSpec spec_of(const AxisNames& names) { return PartitionSpec(names.names); }

Metadata sharding_metadata(const NamedSharding& sharding) {
  return {{"out_sharding", AxisNames(sharding.spec().entries())},
          {"mesh", MeshAxes(sharding.mesh())}};
}

const AxisRules& get_logical_axis_rules() { return thread_rules; }
void set_logical_axis_rules(AxisRules rules) { thread_rules = std::move(rules); }
LogicalAxisRulesScope::LogicalAxisRulesScope(AxisRules rules)
    : previous_(std::exchange(thread_rules, std::move(rules))) {}
LogicalAxisRulesScope::~LogicalAxisRulesScope() { thread_rules = std::move(previous_); }

AxisRules composite_rules(const AxisRules& a, const AxisRules& b) {
  AxisRules out = a;
  for (const auto& [name, target] : b.rules) {
    const std::vector<SpecEntry> first = targets_of(a, name), second = targets_of(b, name);
    if (first.empty()) {
      out.rules.emplace_back(name, target);
    } else if (first != second) {
      fail<SpecError>("composite_rules: '{}' is translated to {} and to {}", name,
                      to_string(first.front()), to_string(second.front()));
    }
  }
  return out;
}

PartitionSpec logical_to_mesh_axes(const PartitionSpec& names,
                                   const std::optional<AxisRules>& rules) {
  require_different_names(names);
  Translation translation(names);
  translation.apply(rules ? *rules : thread_rules);
  translation.settle([](const std::string&) { return SpecEntry(); });
  return translation.spec(names);
}

std::optional<PartitionSpec> logical_to_mesh_axes(const std::optional<PartitionSpec>& names,
                                                  const std::optional<AxisRules>& rules) {
  if (!names) return std::nullopt;
  return logical_to_mesh_axes(*names, rules);
}

PartitionSpec apply_rules(const PartitionSpec& spec, const AxisRules& own_rules) {
  const AxisRules rules = composite_rules(thread_rules, own_rules);
  Translation translation(spec);
  AxisRules as_they_are;  // mesh axes, which no rule may give to another dimension
  for (const SpecEntry& entry : spec) {
    for (const std::string& name : entry.axes()) {
      if (targets_of(rules, name).empty()) as_they_are.rules.emplace_back(name, name);
    }
  }
  translation.apply(as_they_are);
  translation.apply(rules);
  // A contested axis stays with both, and the mesh refuses it; so does a name that occurs twice.
  translation.settle([&](const std::string& name) {
    const std::vector<SpecEntry> targets = targets_of(rules, name);
    return targets.empty() ? SpecEntry(name) : targets.front();
  });
  return translation.spec(spec);
}

NamedSharding apply_rules(const NamedSharding& sharding, const AxisRules& own_rules) {
  return sharding.with_spec(apply_rules(sharding.spec(), own_rules));
}

PartitionSpec partition_spec(const Metadata& metadata) {
  const AxisNames* names = metadata.get<AxisNames>("out_sharding");
  if (!names || names->names.empty()) return {};
  const AxisRules* rules = metadata.get<AxisRules>("sharding_rules");
  return apply_rules(spec_of(*names), rules ? *rules : AxisRules());
}

Tensor with_logical_constraint(const Tensor& x, const std::optional<PartitionSpec>& names,
                               const LogicalConstraintOptions& options) {
  const AxisRules& rules = options.rules ? *options.rules : thread_rules;
  if (!names || rules.rules.empty()) return x;
  require_different_names(*names);
  Translation translation(*names);
  translation.apply(rules);
  const std::vector<std::string> unmatched = translation.unsettled();
  if (!unmatched.empty() && options.fallback == RulesFallback::kNoConstraint) return x;
  if (!unmatched.empty() && options.fallback == RulesFallback::kRaiseError) {
    fail<SpecError>("with_logical_constraint: no rule for '{}' of {}; the rules are {}",
                    fmt::join(unmatched, "', '"), to_string(*names), text_of(rules));
  }
  translation.settle([](const std::string&) { return SpecEntry(); });
  const Mesh mesh = options.mesh ? *options.mesh : current_mesh();
  if (mesh.empty()) return x;
  return with_sharding_constraint(x, NamedSharding(mesh, translation.spec(*names)));
}

}  // namespace linnet
