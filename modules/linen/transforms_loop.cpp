// Loops and branches of functional modules.
#include "linnet/linen/transforms_loop.h"

#include <set>

#include "linnet/detail/format.h"
#include "linnet/detail/known_results.h"
#include "linnet/linen/transforms_gradient.h"
#include "modules/linen/lift.h"

namespace linnet::linen::detail {
namespace {

using Axes = std::vector<std::optional<int64_t>>;
using linnet::detail::blank;

/// The axis of each leaf of the parts of a value.
Axes axes_of(const char* option, const Axes& axes, std::vector<size_t> counts, const char* what) {
  if (!axes.empty() && axes.size() != counts.size() && axes.size() != 1) {
    fail<ValueError>("linen::scan: {} has {} entries for {} {}s", option, axes.size(),
                     counts.size(), what);
  }
  if (axes.size() == 1) {
    size_t all = 0;
    for (size_t count : counts) all += count;
    counts = {all};
  }
  return linnet::detail::spread_axes(option, axes, counts, what);
}

/// Collections that came in and did not come out, since they are immutable, are there at the next
/// turn too.
void keep_unwritten(std::vector<Variables>& after, const std::vector<Variables>& before) {
  for (size_t r = 0; r < after.size(); ++r) {
    for (const auto& [collection, tree] : before[r].children())
      after[r].children().try_emplace(collection, tree);
  }
}

/// One line for each variable.
std::string lines_of(const std::vector<Variables>& group) {
  std::string out;
  for (const Variables& variables : group) {
    for (const auto& [path, leaf] : flat_leaves(variables)) {
      out += fmt::format("    {}{}\n", tree::to_string(path),
                         leaf->box() ? to_string(leaf->box()->metadata) : "");
    }
  }
  return out.empty() ? "    nothing\n" : out;
}

void require_same_variables(const char* construct, const char* what,
                            const std::vector<Variables>& expected,
                            const std::vector<Variables>& got) {
  if (tree::structure(expected) == tree::structure(got)) return;
  fail<ValueError>(
      "linen::{}: {}\n  expected:\n{}  got:\n{}  hint: make the variables before, by a call "
      "outside",
      construct, what, lines_of(expected), lines_of(got));
}

/// One lifted scan. Variable groups 0 and 1 are broadcast and carried, the others are cut.
class LiftedScan {
 public:
  LiftedScan(const char* name, const ScanOptions& options, const ScopeFunction& f)
      : name_(name),
        options_(options),
        f_(f),
        groups_(options.variable_axes),
        pack_("scan", f.scopes, filters()),
        variables_(pack_.variables()),
        carried_(f.counts.at(0)) {
    for (const Axes& axes : {groups_.in_axes, groups_.out_axes}) {
      for (const std::optional<int64_t>& axis : axes) {
        if (!axis)
          fail<ValueError>(
              "{}: variable_axes must be numbers; share variables by variable_broadcast", name_);
      }
    }
    in_axes_ =
        axes_of("in_axes", options.in_axes, {f.counts.begin() + 1, f.counts.end()}, "argument");
    const int64_t length = chosen_length();
    streams_ = split_streams(pack_.streams(), options.split_rngs, length);
    for (size_t g = 2; g < variables_.size(); ++g)
      remove_box_axis(variables_[g], *groups_.in_axes[g - 2], options.metadata_params);
    loop_ = {.length = length, .reverse = options.reverse, .unroll = options.unroll};
  }

  TensorList run() {
    TensorList carry = tree::leaves(variables_[1]);
    carry.insert(carry.end(), f_.inputs.begin(),
                 f_.inputs.begin() + static_cast<int64_t>(carried_));
    const TensorList xs = sequences();
    if (evaluates_known()) evaluate_known(carry, xs);
    const TensorList outputs = linnet::detail::scan_call(
        name_, carry, xs, loop_,
        [&](const TensorList& now, const TensorList& x) { return turn(now, x); });
    return finish(outputs);
  }

 private:
  /// Whether an evaluation before the loop can make anything or count on keys.
  bool evaluates_known() const {
    if (!options_.check_constancy_invariants) return false;
    for (const std::optional<int64_t>& axis : options_.out_axes) {
      if (!axis) return true;
    }
    for (const auto& group : streams_) {
      for (const Streams& streams : group) {
        if (!streams.empty()) return true;
      }
    }
    return pack_.may_write(options_.variable_broadcast);
  }

  Pack::Filters filters() const {
    Pack::Filters out{{options_.variable_broadcast, options_.variable_carry},
                      {options_.variable_broadcast, options_.variable_carry},
                      stream_filters(options_.split_rngs)};
    out.in.insert(out.in.end(), groups_.in.begin(), groups_.in.end());
    out.out.insert(out.out.end(), groups_.out.begin(), groups_.out.end());
    return out;
  }

  int64_t chosen_length() const {
    std::set<int64_t> lengths;
    size_t leaf = 0;
    for (size_t part = 1; part < f_.counts.size(); ++part) {
      if (f_.counts[part] && in_axes_[leaf]) {
        const Tensor& x = f_.inputs[carried_ + leaf];
        lengths.insert(moveaxis(x, *in_axes_[leaf], 0).shape(0));
      }
      leaf += f_.counts[part];
    }
    if (lengths.size() > 1)
      fail<ValueError>("{}: inconsistent scan lengths: {}", name_, fmt::join(lengths, ", "));
    if (options_.length) return *options_.length;
    if (lengths.empty()) fail<ValueError>("{}: no argument is cut\n  hint: give the length", name_);
    return *lengths.begin();
  }

  /// What is cut, with the axis in front: variables, keys, arguments.
  TensorList sequences() const {
    TensorList out;
    for (size_t g = 2; g < variables_.size(); ++g) {
      for (const Tensor& leaf : tree::leaves(variables_[g]))
        out.push_back(moveaxis(leaf, *groups_.in_axes[g - 2], 0));
    }
    for (size_t g = 0; g < streams_.size(); ++g) {
      if (options_.split_rngs[g].split) append_leaves(out, streams_[g]);
    }
    for (size_t i = 0; i < in_axes_.size(); ++i) {
      if (in_axes_[i]) out.push_back(moveaxis(f_.inputs[carried_ + i], *in_axes_[i], 0));
    }
    return out;
  }

  /// One run of the body on the present broadcast variables.
  Pack::Run run_body(const TensorList& carry, const TensorList& x) const {
    LeafReader carries(carry), slices(x);
    VariableGroups variables = variables_;
    variables[1] = carries.take(variables_[1]);
    for (size_t g = 2; g < variables.size(); ++g) variables[g] = slices.take(variables_[g]);
    StreamGroups streams = streams_;
    for (size_t g = 0; g < streams.size(); ++g) {
      if (options_.split_rngs[g].split) streams[g] = slices.take(streams_[g]);
    }
    TensorList inputs = carries.rest();
    for (size_t i = 0; i < in_axes_.size(); ++i)
      append(inputs, in_axes_[i] ? slices.take_tensors(1) : TensorList{f_.inputs[carried_ + i]});
    Pack::Run ran = pack_.run(f_.run, variables, streams, inputs);
    if (f_.result_counts().at(0) != carried_) {
      fail<ValueError>("{}: the carry has {} tensors at first and {} after a turn", name_, carried_,
                       f_.result_counts()[0]);
    }
    keep_unwritten(ran.updated[0], variables[0]);
    keep_unwritten(ran.updated[1], variables[1]);
    return ran;
  }

  /// The axis along which each tensor behind the carry is stacked.
  Axes stacked_axes() const {
    std::vector<size_t> counts = f_.result_counts();
    counts.erase(counts.begin());
    return axes_of("out_axes", options_.out_axes, std::move(counts), "result");
  }

  /// Broadcast variables that the body makes, and its broadcast results.
  void evaluate_known(const TensorList& carry, const TensorList& xs) {
    TypeList unknown;
    for (const Tensor& tensor : carry) unknown.push_back(tensor.type());
    for (const Tensor& tensor : xs) {
      TensorType type = tensor.type();
      type.shape.erase(0);
      unknown.push_back(type);
    }
    VariableGroups made;
    const TensorList known =
        linnet::detail::known_results(name_, unknown, [&](const TensorList& operands) {
          const KnownEvaluation evaluation;
          LeafReader leaves(operands);
          const TensorList now = leaves.take_tensors(carry.size());
          Pack::Run ran = run_body(now, leaves.rest());
          TensorList out = tree::leaves(ran.updated[0]);
          const Axes axes = stacked_axes();
          for (size_t k = 0; k < axes.size(); ++k) {
            if (!axes[k]) out.push_back(ran.results[carried_ + k]);
          }
          made = {blank(ran.updated[0])};
          return out;
        });
    for (const Tensor& value : known) {
      if (value.defined()) continue;
      fail<ValueError>(
          "{}: a broadcast variable or result depends on the carry, on what is cut or on "
          "split keys\n  hint: name its collection in variable_axes or variable_carry, its stream "
          "in split_rngs with false, or give the result an axis",
          name_);
    }
    LeafReader leaves(known);
    variables_[0] = leaves.take(made[0]);
    broadcast_results_ = leaves.rest();
  }

  TensorList turn(const TensorList& carry, const TensorList& x) {
    Pack::Run ran = run_body(carry, x);
    require_same_variables("scan", "variables that are carried change their structure",
                           variables_[1], ran.updated[1]);
    out_axes_ = stacked_axes();
    TensorList out = tree::leaves(ran.updated[1]);
    out.insert(out.end(), ran.results.begin(),
               ran.results.begin() + static_cast<int64_t>(carried_));
    for (size_t k = 0; k < out_axes_.size(); ++k) {
      if (out_axes_[k]) {
        out.push_back(ran.results[carried_ + k]);
      } else if (!options_.check_constancy_invariants) {
        fail<ValueError>("{}: out_axes has kBroadcast, which needs check_constancy_invariants",
                         name_);
      }
    }
    for (size_t g = 2; g < ran.updated.size(); ++g) {
      add_box_axis(ran.updated[g], *groups_.out_axes[g - 2], options_.metadata_params);
      append_leaves(out, ran.updated[g]);
    }
    updated_ = blank(ran.updated);
    return out;
  }

  TensorList finish(const TensorList& outputs) const {
    LeafReader leaves(outputs);
    VariableGroups updated = updated_;
    updated[0] = variables_[0];
    updated[1] = leaves.take(updated_[1]);
    TensorList results = leaves.take_tensors(carried_);
    size_t broadcast = 0;
    for (const std::optional<int64_t>& axis : out_axes_) {
      results.push_back(axis ? moveaxis(leaves.take_tensors(1)[0], 0, *axis)
                             : broadcast_results_[broadcast++]);
    }
    for (size_t g = 2; g < updated_.size(); ++g) {
      TensorList stacked = leaves.take_tensors(tree::leaves(updated_[g]).size());
      for (Tensor& tensor : stacked) tensor = moveaxis(tensor, 0, *groups_.out_axes[g - 2]);
      updated[g] = tree::unflatten(updated_[g], stacked);
    }
    pack_.publish(updated);
    return results;
  }

  const char* name_;
  const ScanOptions& options_;
  const ScopeFunction& f_;
  AxisGroups groups_;
  Pack pack_;
  VariableGroups variables_;
  size_t carried_;  ///< tensors of the carry
  StreamGroups streams_;
  Axes in_axes_, out_axes_;
  linnet::ScanOptions loop_;
  TensorList broadcast_results_;
  VariableGroups updated_;  ///< structures after a turn
};

}  // namespace

TensorList scan_call(const ScanOptions& options, const ScopeFunction& f, const char* name) {
  return LiftedScan(name, options, f).run();
}

TensorList remat_scan_call(const RematScanOptions& options, const ScopeFunction& f) {
  if (options.lengths.empty()) fail<ValueError>("linen::remat_scan: lengths are missing");
  ScopeFunction body = f;
  body.result_counts = [count = f.inputs.size()] { return std::vector<size_t>{count}; };
  if (options.lengths.size() > 1) {
    RematScanOptions below = options;
    below.lengths.erase(below.lengths.begin());
    body.run = [&f, below](const std::vector<Scope>& scopes, const TensorList& inputs) {
      ScopeFunction level = f;
      level.scopes = scopes;
      level.inputs = inputs;
      level.run = [&f, &below](const std::vector<Scope>& inner, const TensorList& values) {
        ScopeFunction rest = f;
        rest.scopes = inner;
        rest.inputs = values;
        return remat_scan_call(below, rest);
      };
      return remat_call({}, level, below.policy);
    };
  }
  const ScanOptions scan{.variable_axes = options.variable_axes,
                         .variable_broadcast = options.variable_broadcast,
                         .variable_carry = options.variable_carry,
                         .split_rngs = options.split_rngs,
                         .length = options.lengths.front()};
  return scan_call(scan, body);
}

TensorList while_loop_call(const WhileOptions& options, const ScopeFunction& condition,
                           const ScopeFunction& body) {
  const Pack pack("while_loop", body.scopes,
                  {{options.carry_variables, options.broadcast_variables},
                   {options.carry_variables},
                   stream_filters(options.split_rngs)});
  const VariableGroups variables = pack.variables();
  const StreamGroups streams = pack.streams();
  const auto enter = [&](const ScopeFunction::Run& f, const TensorList& state, const Tensor& step,
                         const CollectionFilter& mutate) {
    LeafReader leaves(std::span<const Tensor>(state).subspan(1));
    VariableGroups inside = variables;
    inside[0] = leaves.take(variables[0]);
    StreamGroups keys = streams;
    for (size_t g = 0; g < keys.size(); ++g) {
      if (!options.split_rngs[g].split) continue;
      for (Streams& group : keys[g]) {
        for (auto& [name, stream] : group) stream.key = random::fold_in(stream.key, step);
      }
    }
    return pack.run(f, inside, keys, leaves.rest(), mutate);
  };
  TensorList init{scalar(0, DType::kU32)};
  append_leaves(init, variables[0]);
  append(init, body.inputs);
  const auto test = [&](const TensorList& state) {
    const Tensor negated = zeros_like(state[0]) - state[0];
    return enter(condition.run, state, negated, false).results.at(0);
  };
  // The keys of the condition come before those of the body, whichever is recorded first.
  const Pack::Counters before = pack.counters();
  linnet::detail::abstract_call(init,
                                [&](const TensorList& state) { return TensorList{test(state)}; });
  const TensorList outputs = linnet::detail::while_call(
      "linen::while_loop", init,
      [&](const TensorList& state) {
        const Pack::Counters now = pack.counters();
        pack.set_counters(before);
        Tensor more = test(state);
        pack.set_counters(now);
        return more;
      },
      [&](const TensorList& state) {
        Pack::Run ran = enter(body.run, state, state[0], true);
        keep_unwritten(ran.updated[0], variables[0]);
        require_same_variables("while_loop", "variables that are carried change their structure",
                               variables[0], ran.updated[0]);
        TensorList out{state[0] + ones_like(state[0])};
        append_leaves(out, ran.updated[0]);
        append(out, ran.results);
        return out;
      });
  LeafReader leaves(std::span<const Tensor>(outputs).subspan(1));
  pack.publish({leaves.take(variables[0])});
  return leaves.rest();
}

namespace {

/// The results of branch `index` where all branches run, so that a result depends on an operand
/// only if some branch makes it so.
TensorList chosen_of_all(const Tensor& index, const TensorList& inputs,
                         const std::vector<linnet::detail::FlatFunction>& branches) {
  TensorList chosen = branches.at(0)(inputs);
  for (size_t k = 1; k < branches.size(); ++k) {
    const TensorList results = branches[k](inputs);
    for (size_t i = 0; i < chosen.size(); ++i)
      chosen[i] = where(index < static_cast<int64_t>(k), chosen[i], results.at(i));
  }
  return chosen;
}

}  // namespace

TensorList cond_call(const LiftOptions& options, const Tensor& index,
                     const std::vector<ScopeFunction>& branches) {
  const ScopeFunction& first = branches.at(0);
  const Pack pack("switch_case", first.scopes,
                  {{options.variables}, {options.variables}, {options.rngs}});
  PackedCall call(pack, pack.variables(), pack.streams());
  const TensorList inputs = call.inputs(first.inputs);
  bool ran = false;
  std::vector<linnet::detail::FlatFunction> flat;
  for (const ScopeFunction& branch : branches) {
    flat.push_back([&, run = branch.run](const TensorList& lifted) {
      const VariableGroups before = call.updated();
      TensorList out = call.run(run, lifted);
      if (ran) {
        require_same_variables("switch_case", "branches make different variables", before[0],
                               call.updated()[0]);
      }
      ran = true;
      return out;
    });
  }
  return call.finish(evaluating_known()
                         ? chosen_of_all(index, inputs, flat)
                         : linnet::detail::cond_call("linen::switch_case", index, inputs, flat));
}

Tensor first_if(const Tensor& predicate) {
  return 1 - linnet::detail::branch_of("linen::cond", predicate);
}

void fail_different_results() {
  fail<ValueError>("linen::switch_case: the results of the branches differ in structure");
}

}  // namespace linnet::linen::detail
