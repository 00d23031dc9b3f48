// vmap and views of variables.
#include "linnet/linen/transforms_map.h"

#include <algorithm>
#include <set>

#include "linnet/detail/format.h"
#include "modules/linen/lift.h"

namespace linnet::linen::detail {
namespace {

using Axes = std::vector<std::optional<int64_t>>;
using linnet::detail::blank;

/// The sizes along the mapped axes, as far as they are known from outside.
class BatchSize {
 public:
  void see(const TensorList& leaves, std::optional<int64_t> axis) {
    if (!axis || leaves.empty()) return;
    const auto rank = static_cast<int64_t>(leaves.front().rank());
    const int64_t at = *axis < 0 ? *axis + rank : *axis;
    if (at < 0 || at >= rank) {
      fail<ShapeError>("linen::vmap: axis {} is out of range for {}", *axis,
                       to_string(leaves.front().type()));
    }
    sizes_.insert(leaves.front().shape(at));
  }
  int64_t chosen(std::optional<int64_t> given) const {
    if (sizes_.size() > 1) {
      fail<ValueError>("linen::vmap: inconsistent batch axis sizes: {}", fmt::join(sizes_, ", "));
    }
    if (given) return *given;
    if (sizes_.empty()) {
      fail<ValueError>(
          "linen::vmap: no argument and no variable is mapped\n  hint: give axis_size");
    }
    return *sizes_.begin();
  }

 private:
  std::set<int64_t> sizes_;
};

/// What goes into a mapped call, and along which axes.
struct MappedInputs {
  TensorList tensors;
  Axes axes;

  template <class T>
  void add(const T& object, std::optional<int64_t> axis) {
    append_leaves(tensors, object);
    axes.resize(tensors.size(), axis);
  }
};

}  // namespace

TensorList vmap_call(const VmapOptions& options, const ScopeFunction& f) {
  const AxisGroups groups(options.variable_axes);
  const Pack pack("vmap", f.scopes, {groups.in, groups.out, stream_filters(options.split_rngs)});
  VariableGroups variables = pack.variables();
  BatchSize size;
  for (size_t g = 0; g < variables.size(); ++g) {
    size.see(tree::leaves(variables[g]), groups.in_axes[g]);
    if (groups.in_axes[g])
      remove_box_axis(variables[g], *groups.in_axes[g], options.metadata_params);
  }
  const Axes argument_axes =
      linnet::detail::spread_axes("in_axes", options.in_axes, f.counts, "argument");
  size_t first = 0;
  for (size_t count : f.counts) {
    if (count) size.see({f.inputs[first]}, argument_axes[first]);
    first += count;
  }
  const int64_t count = size.chosen(options.axis_size);
  const StreamGroups streams = split_streams(pack.streams(), options.split_rngs, count);

  MappedInputs inputs;
  for (size_t g = 0; g < variables.size(); ++g) inputs.add(variables[g], groups.in_axes[g]);
  for (size_t g = 0; g < streams.size(); ++g) {
    inputs.add(streams[g], options.split_rngs[g].split ? std::optional<int64_t>(0) : std::nullopt);
  }
  append(inputs.tensors, f.inputs);
  inputs.axes.insert(inputs.axes.end(), argument_axes.begin(), argument_axes.end());

  VariableGroups updated;
  size_t results = 0;
  const auto body = [&](const TensorList& lifted) {
    LeafReader leaves(lifted);
    const VariableGroups variables_inside = leaves.take(variables);
    const StreamGroups streams_inside = leaves.take(streams);
    Pack::Run ran = pack.run(f.run, variables_inside, streams_inside, leaves.rest());
    for (size_t g = 0; g < ran.updated.size(); ++g) {
      if (groups.out_axes[g])
        add_box_axis(ran.updated[g], *groups.out_axes[g], options.metadata_params);
    }
    results = ran.results.size();
    append_leaves(ran.results, ran.updated);
    updated = blank(ran.updated);
    return ran.results;
  };
  const auto out_axes = [&](size_t) {
    Axes axes = linnet::detail::spread_axes(
        "out_axes", options.out_axes,
        options.out_axes.size() > 1 ? f.result_counts() : std::vector<size_t>{results}, "result");
    for (size_t g = 0; g < updated.size(); ++g)
      axes.resize(axes.size() + tree::leaves(updated[g]).size(), groups.out_axes[g]);
    return axes;
  };
  const TensorList outputs = linnet::detail::batch_call("linen::vmap", inputs.tensors, inputs.axes,
                                                        body, out_axes, count, options.axis_name);
  LeafReader leaves(outputs);
  TensorList out = leaves.take_tensors(results);
  pack.publish(leaves.take(updated));
  return out;
}

TensorList map_variables_call(const CollectionFilter& mapped, const MapVariablesOptions& options,
                              const ScopeFunction& f) {
  const bool written = options.mutate || options.init;
  Pack::Filters filters{{mapped, options.variables}, {}, {options.rngs}};
  filters.out =
      written ? filters.in : std::vector<CollectionFilter>{false, options.variables - mapped};
  const Pack pack("map_variables", f.scopes, std::move(filters));
  const auto through = [](const VariableMap& map, std::vector<Variables>& group) {
    if (!map) return;
    for (Variables& variables : group) variables = map(variables);
  };
  VariableGroups variables = pack.variables();
  const StreamGroups streams = pack.streams();
  const bool anything_mutable = std::any_of(f.scopes.begin(), f.scopes.end(), [](const Scope& s) {
    return !s.mutable_collections().empty();
  });
  if (options.init && anything_mutable) {
    Pack::Run first = pack.run(f.run, variables, streams, f.inputs);
    through(options.out, first.updated[0]);
    for (size_t r = 0; r < variables[0].size(); ++r)
      variables[0][r] = std::move(variables[0][r]) | first.updated[0][r];
  }
  through(options.in, variables[0]);
  Pack::Run ran = pack.run(f.run, variables, streams, f.inputs,
                           written ? CollectionFilter(true) : CollectionFilter::deny(mapped));
  if (written) through(options.out, ran.updated[0]);
  pack.publish(ran.updated);
  return ran.results;
}

VariableMap exchanged_collections(const std::string& a, const std::string& b) {
  return [a, b](const Variables& variables) {
    Variables out = variables;
    out.children().erase(a);
    out.children().erase(b);
    if (variables.contains(a)) out.children()[b] = variables[a];
    if (variables.contains(b)) out.children()[a] = variables[b];
    return out;
  };
}

MapVariablesTransform metadata_axis(const CollectionAxis& entry, const Metadata& parameters) {
  const std::optional<int64_t> axis = entry.axis.axis();
  if (!axis)
    fail<ValueError>("linen::add_metadata_axis: expected the position of an axis, got none");
  return {
      entry.collections,
      {.in = [axis, parameters](const Variables& v) { return remove_axis(v, *axis, parameters); },
       .out = [axis, parameters](const Variables& v) { return add_axis(v, *axis, parameters); },
       .mutate = true}};
}

[[noreturn]] void fail_returned_scope(const std::string& module) {
  fail<ModuleError>(
      "TransformedMethodReturnValueError: {} returns a scope or a variable from inside a "
      "transformation, where it ends\n  hint: return the value",
      module);
}

}  // namespace linnet::linen::detail
