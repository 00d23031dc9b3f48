// vmap and views of variables.
#include "linnet/linen/transforms_map.h"

#include <algorithm>
#include <set>

#include "linnet/detail/format.h"
#include "linnet/linen/errors.h"
#include "modules/linen/lift.h"

namespace linnet::linen::detail {
namespace {

using Axes = std::vector<std::optional<int64_t>>;

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

/// One lifted vmap.
class LiftedVmap {
 public:
  LiftedVmap(const VmapOptions& options, const ScopeFunction& f)
      : options_(options),
        f_(f),
        groups_(options.variable_axes),
        pack_("vmap", f.scopes, {groups_.in, groups_.out, stream_filters(options.split_rngs)}),
        argument_axes_(
            linnet::detail::spread_axes("in_axes", options.in_axes, f.counts, "argument")) {}

  TensorList run() {
    VariableGroups variables = pack_.variables();
    const int64_t size = batch_size(variables);
    for (size_t g = 0; g < variables.size(); ++g) {
      if (groups_.in_axes[g])
        remove_box_axis(variables[g], *groups_.in_axes[g], options_.metadata_params);
    }
    const StreamGroups streams = split_streams(pack_.streams(), options_.split_rngs, size);
    const Axes axes = input_axes(variables, streams);
    PackedCall call(pack_, std::move(variables), streams);
    call.on_the_way_out = [this](VariableGroups& updated) {
      for (size_t g = 0; g < updated.size(); ++g) {
        if (groups_.out_axes[g])
          add_box_axis(updated[g], *groups_.out_axes[g], options_.metadata_params);
      }
    };
    return call.finish(linnet::detail::batch_call(
        "linen::vmap", call.inputs(f_.inputs), axes,
        [&](const TensorList& lifted) { return call.run(f_.run, lifted); },
        [&](size_t) { return output_axes(call); }, size, options_.axis_name));
  }

 private:
  int64_t batch_size(const VariableGroups& variables) const {
    BatchSize size;
    for (size_t g = 0; g < variables.size(); ++g)
      size.see(tree::leaves(variables[g]), groups_.in_axes[g]);
    size_t first = 0;
    for (size_t count : f_.counts) {
      if (count) size.see({f_.inputs[first]}, argument_axes_[first]);
      first += count;
    }
    return size.chosen(options_.axis_size);
  }

  Axes input_axes(const VariableGroups& variables, const StreamGroups& streams) const {
    Axes axes;
    for (size_t g = 0; g < variables.size(); ++g)
      axes.insert(axes.end(), tree::leaves(variables[g]).size(), groups_.in_axes[g]);
    for (size_t g = 0; g < streams.size(); ++g) {
      const bool split = options_.split_rngs[g].split;
      axes.insert(axes.end(), tree::leaves(streams[g]).size(),
                  split ? std::optional<int64_t>(0) : std::nullopt);
    }
    axes.insert(axes.end(), argument_axes_.begin(), argument_axes_.end());
    return axes;
  }

  Axes output_axes(const PackedCall& call) const {
    const bool one_for_all = options_.out_axes.size() <= 1;
    Axes axes = linnet::detail::spread_axes(
        "out_axes", options_.out_axes,
        one_for_all ? std::vector<size_t>{call.results()} : f_.result_counts(), "result");
    for (size_t g = 0; g < call.updated().size(); ++g)
      axes.insert(axes.end(), tree::leaves(call.updated()[g]).size(), groups_.out_axes[g]);
    return axes;
  }

  const VmapOptions& options_;
  const ScopeFunction& f_;
  AxisGroups groups_;
  Pack pack_;
  Axes argument_axes_;
};

}  // namespace

TensorList vmap_call(const VmapOptions& options, const ScopeFunction& f) {
  return LiftedVmap(options, f).run();
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
  fail<TransformedMethodReturnValueError>(
      "TransformedMethodReturnValueError: {} returns a scope or a variable from inside a "
      "transformation, where it ends\n  hint: return the value",
      module);
}

}  // namespace linnet::linen::detail
