// Transformations for a part of the parameters or of the steps.
#include "linnet/optim/wrappers.h"

#include <cmath>
#include <memory>

#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "modules/optim/transform.h"

namespace linnet::optim {
namespace {

using Paths = std::vector<tree::Path>;
/// Null until they are known.
using KnownPaths = std::shared_ptr<const Paths>;

template <class T>
std::vector<T> select(const std::vector<T>& list, const std::vector<bool>& chosen) {
  std::vector<T> out;
  for (size_t i = 0; i < list.size(); ++i)
    if (chosen[i]) out.push_back(list[i]);
  return out;
}

/// Puts `part` back to where `chosen` says.
void merge(TensorList& list, const TensorList& part, const std::vector<bool>& chosen) {
  size_t next = 0;
  for (size_t i = 0; i < list.size(); ++i)
    if (chosen[i]) list[i] = part.at(next++);
}

/// `tx` for the chosen parameters.
GradientTransformation for_chosen(const GradientTransformation& tx, const KnownPaths& paths,
                                  const std::vector<bool>& chosen) {
  return tx.bind && paths ? tx.bind(select(*paths, chosen)) : tx;
}

/// What depends on paths because a setting does, or a part: `rebuild` makes it for known paths.
void bind_paths(GradientTransformation& out, bool needed, const KnownPaths& paths,
                std::function<GradientTransformation(KnownPaths)> rebuild) {
  if (!needed || paths) return;
  out.bind = [rebuild = std::move(rebuild)](const Paths& at) {
    return rebuild(std::make_shared<const Paths>(at));
  };
}

GradientTransformation masked_at(const GradientTransformation& tx, const Mask& mask,
                                 const KnownPaths& paths) {
  GradientTransformation out;
  out.description = fmt::format("masked({}, {})", described(tx.description), mask.text());
  out.init_list = [=](const TensorList& params) {
    const std::vector<bool> chosen = mask_of("masked", mask, paths.get(), params);
    TransformState state;
    state.parts = {for_chosen(tx, paths, chosen).init_list(select(params, chosen))};
    return state;
  };
  set_update(out, {tx},
             [=](const TensorList& grads, TransformState& state, const TensorList& params,
                 const ExtraArguments& extra) {
               require_params("masked", grads, params);
               const std::vector<bool> chosen = mask_of("masked", mask, paths.get(), params);
               TensorList updates = map(grads, [](size_t, const Tensor& g) { return wide(g); });
               merge(updates,
                     detail::update_lists(for_chosen(tx, paths, chosen), select(grads, chosen),
                                          part_of(state, 0, 1), select(params, chosen), extra),
                     chosen);
               return updates;
             });
  bind_paths(out, mask.needs_paths() || tx.bind, paths,
             [=](KnownPaths known) { return masked_at(tx, mask, known); });
  return out;
}

using Transformations = std::map<std::string, GradientTransformation>;

/// Whose each parameter is: one mask per transformation, in their order.
std::vector<std::vector<bool>> groups_of(const Transformations& transformations,
                                         const Labels& labels, const Paths* paths,
                                         const TensorList& params) {
  if (labels.needs_paths() && !paths) {
    fail<TreeError>(
        "partition: labels depend on where parameters are, which lists do not say\n  hint: call "
        "init, update and step with trees");
  }
  const std::vector<std::string> names = labels(paths, params);
  if (names.size() != params.size()) {
    fail<TreeError>("partition: there are {} labels for {} parameters", names.size(),
                    params.size());
  }
  std::vector<std::vector<bool>> groups;
  for (const auto& [name, tx] : transformations) {
    groups.emplace_back();
    for (const std::string& label : names) groups.back().push_back(label == name);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (transformations.count(names[i])) continue;
    std::string known;
    for (const auto& [name, tx] : transformations) known += (known.empty() ? "" : ", ") + name;
    fail<ValueError>(
        "partition: the label '{}' of {} names none of the transformations {}", names[i],
        paths ? "'" + tree::to_string((*paths)[i]) + "'" : fmt::format("parameter {}", i), known);
  }
  return groups;
}

/// Calls `f` with each transformation, its state, and the gradients and parameters that are its
/// own, and puts the results together.
template <class F>
TensorList by_group(const Transformations& transformations, const Labels& labels,
                    const KnownPaths& paths, const TensorList& grads, TransformState& state,
                    const TensorList& params, F&& f) {
  require_params("partition", grads, params);
  TensorList out(params.size());
  const auto groups = groups_of(transformations, labels, paths.get(), params);
  size_t k = 0;
  for (const auto& [name, tx] : transformations) {
    const std::vector<bool>& chosen = groups[k];
    TransformState& own = part_of(state, k++, transformations.size());
    merge(out, f(for_chosen(tx, paths, chosen), select(grads, chosen), own, select(params, chosen)),
          chosen);
  }
  return out;
}

GradientTransformation partition_at(const Transformations& transformations, const Labels& labels,
                                    const KnownPaths& paths) {
  GradientTransformation out;
  std::vector<GradientTransformation> inner;
  out.description = fmt::format("partition({}", labels.text());
  for (const auto& [name, tx] : transformations) {
    out.description += fmt::format(", {}: {}", name, described(tx.description));
    inner.push_back(tx);
  }
  out.description += ")";
  out.init_list = [=](const TensorList& params) {
    TransformState state;
    const auto groups = groups_of(transformations, labels, paths.get(), params);
    for (const auto& [name, tx] : transformations) {
      const std::vector<bool>& chosen = groups[state.parts.size()];
      state.parts.push_back(for_chosen(tx, paths, chosen).init_list(select(params, chosen)));
    }
    return state;
  };
  set_update(out, inner,
             [=](const TensorList& grads, TransformState& state, const TensorList& params,
                 const ExtraArguments& extra) {
               return by_group(
                   transformations, labels, paths, grads, state, params,
                   [&](const GradientTransformation& tx, const TensorList& g, TransformState& own,
                       const TensorList& p) { return detail::update_lists(tx, g, own, p, extra); });
             });
  if (!out.update_extra) {
    out.step_list = [=](const TensorList& grads, TransformState& state, const TensorList& params) {
      return by_group(
          transformations, labels, paths, grads, state, params,
          [&](const GradientTransformation& tx, const TensorList& g, TransformState& own,
              const TensorList& p) { return step_lists(tx, p, g, own); });
    };
  }
  bool needed = labels.needs_paths();
  for (const GradientTransformation& tx : inner) needed = needed || tx.bind;
  bind_paths(out, needed, paths,
             [=](KnownPaths known) { return partition_at(transformations, labels, known); });
  return out;
}

/// `condition ? a : b`, for states of one structure.
TransformState choose(const Tensor& condition, const TransformState& a, const TransformState& b) {
  TransformState out = a;
  for (auto& [name, list] : out.lists) {
    const TensorList& other = b.lists.at(name);
    for (size_t i = 0; i < list.size(); ++i)
      list[i] = astype(where(condition, list[i], other[i]), other[i].dtype());
  }
  for (size_t i = 0; i < out.parts.size(); ++i)
    out.parts[i] = choose(condition, a.parts[i], b.parts.at(i));
  return out;
}

TensorList choose(const Tensor& condition, const TensorList& a, const TensorList& b) {
  return map(a, [&](size_t i, const Tensor& x) { return where(condition, x, b[i]); });
}

TensorList zeros_like_all(const TensorList& list) {
  return map(list, [](size_t, const Tensor& x) { return zeros_like(x); });
}

Tensor whole(int64_t value) { return scalar_integer(value, DType::kI32); }

}  // namespace

GradientTransformation masked(GradientTransformation tx, Mask mask) {
  return masked_at(tx, mask, nullptr);
}

GradientTransformation partition(std::map<std::string, GradientTransformation> transformations,
                                 Labels labels) {
  return partition_at(transformations, labels, nullptr);
}

namespace {

/// `tx` with what has been gathered, kept only if `emit`.
TensorList multi_steps_update(const GradientTransformation& tx, const Rate& every_k, bool mean,
                              const TensorList& grads, TransformState& state,
                              const TensorList& params, const ExtraArguments& extra) {
  Tensor& mini = list_of(state, "mini_step").at(0);
  Tensor& made = list_of(state, "gradient_step").at(0);
  TensorList& gathered = list_of(state, "gathered");
  const Tensor k = astype(every_k.at(made), DType::kI32);
  const Tensor emit = equal(mini, k - 1);
  const TensorList sum = map(grads, [&](size_t i, const Tensor& gradient) {
    const Tensor g = astype(gradient, gathered[i].dtype());
    // Welford's mean: no sum that could overflow.
    return mean ? gathered[i] + (g - gathered[i]) / astype(mini + 1, g.dtype()) : gathered[i] + g;
  });
  const TransformState before = part_of(state, 0, 1);
  TransformState after = before;
  const TensorList own =
      map(sum, [&](size_t i, const Tensor& g) { return astype(g, grads[i].dtype()); });
  const TensorList updates = detail::update_lists(tx, own, after, params, extra);
  state.parts[0] = choose(emit, after, before);
  gathered = choose(emit, zeros_like_all(sum), sum);
  made = where(emit, next_count(made), made);
  mini = where(emit, whole(0), mini + 1);
  return choose(emit, updates, zeros_like_all(updates));
}

}  // namespace

GradientTransformation multi_steps(GradientTransformation tx, Rate every_k,
                                   MultiStepsOptions options) {
  GradientTransformation out;
  out.description = options.should_skip
                        ? described("")
                        : fmt::format("multi_steps({}, {}, {})", described(tx.description),
                                      every_k.text(), options.mean);
  out.init_list = [tx](const TensorList& params) {
    TransformState state;
    state.lists["mini_step"] = {zero_count(params)};
    state.lists["gradient_step"] = {zero_count(params)};
    state.lists["gathered"] =
        map(params, [](size_t, const Tensor& p) { return zeros_like(wide(p)); });
    state.parts = {tx.init_list(params)};
    return state;
  };
  set_update(out, {tx},
             [=](const TensorList& grads, TransformState& state, const TensorList& params,
                 const ExtraArguments& extra) {
               require_params("multi_steps", grads, params);
               const TransformState before = state;
               TensorList updates =
                   multi_steps_update(tx, every_k, options.mean, grads, state, params, extra);
               if (!options.should_skip) return updates;
               const Tensor skip = options.should_skip(grads);
               state = choose(skip, before, state);
               return choose(skip, zeros_like_all(updates), updates);
             });
  set_bind(out, {tx}, [=](std::vector<GradientTransformation> bound) {
    return multi_steps(bound[0], every_k, options);
  });
  return out;
}

Tensor skip_not_finite(const TensorList& gradients) {
  Tensor skip = false;
  for (const Tensor& g : gradients) skip = logical_or(skip, any(logical_not(is_finite(g))));
  return skip;
}

GradientTransformation apply_if_finite(GradientTransformation tx, int64_t max_consecutive_errors) {
  GradientTransformation out;
  out.description =
      fmt::format("apply_if_finite({}, {})", described(tx.description), max_consecutive_errors);
  out.init_list = [tx](const TensorList& params) {
    TransformState state;
    state.lists["notfinite_count"] = {zero_count(params)};
    state.lists["total_notfinite"] = {zero_count(params)};
    state.lists["last_finite"] = {number_beside(params, ones({}, DType::kBool))};
    state.parts = {tx.init_list(params)};
    return state;
  };
  set_update(out, {tx},
             [=](const TensorList& grads, TransformState& state, const TensorList& params,
                 const ExtraArguments& extra) {
               const Tensor finite = logical_not(skip_not_finite(grads));
               Tensor& in_a_row = list_of(state, "notfinite_count").at(0);
               Tensor& total = list_of(state, "total_notfinite").at(0);
               in_a_row = where(finite, whole(0), next_count(in_a_row));
               total = where(finite, total, next_count(total));
               list_of(state, "last_finite").at(0) = finite;
               const Tensor made = logical_or(finite, in_a_row > whole(max_consecutive_errors));
               const TransformState before = part_of(state, 0, 1);
               TransformState after = before;
               const TensorList updates = detail::update_lists(tx, grads, after, params, extra);
               state.parts[0] = choose(made, after, before);
               return choose(made, updates, zeros_like_all(updates));
             });
  set_bind(out, {tx}, [=](std::vector<GradientTransformation> bound) {
    return apply_if_finite(bound[0], max_consecutive_errors);
  });
  return out;
}

namespace {

/// Rates that read the settings in a state.
Hyperparameters reading(const TransformState& state, const Hyperparameters& names) {
  Hyperparameters out;
  for (const auto& [name, rate] : names) {
    const Tensor value = state.lists.at(name).at(0);
    out.emplace(name, Schedule([value](const Tensor&) { return value; }));
  }
  return out;
}

}  // namespace

GradientTransformation inject_hyperparams(
    Function<GradientTransformation(const Hyperparameters& values)> make, Hyperparameters initial) {
  GradientTransformation out;
  out.description = fmt::format("inject_hyperparams({}", make.identity());
  for (const auto& [name, rate] : initial)
    out.description += fmt::format(", {}: {}", name, rate.text());
  out.description += ")";
  const GradientTransformation sample = make(initial);
  const auto inner_of = [=](const TransformState& state, const KnownPaths& paths) {
    const GradientTransformation tx = make(reading(state, initial));
    return tx.bind && paths ? tx.bind(*paths) : tx;
  };
  const auto at = [=](const KnownPaths& paths) {
    GradientTransformation tx;
    tx.description = out.description;
    tx.init_list = [=](const TensorList& params) {
      TransformState state;
      state.lists["count"] = {zero_count(params)};
      for (const auto& [name, rate] : initial) {
        state.lists[name] = {number_beside(params, astype(rate.at(count_of(state)), DType::kF32))};
      }
      state.parts = {inner_of(state, paths).init_list(params)};
      return state;
    };
    set_update(tx, {sample},
               [=](const TensorList& grads, TransformState& state, const TensorList& params,
                   const ExtraArguments& extra) {
                 for (const auto& [name, rate] : initial) {
                   if (rate.constant()) continue;
                   store(list_of(state, name.c_str()).at(0), rate.at(count_of(state)));
                 }
                 advance(state);
                 const GradientTransformation inner = inner_of(state, paths);
                 return detail::update_lists(inner, grads, part_of(state, 0, 1), params, extra);
               });
    return tx;
  };
  out = at(nullptr);
  bind_paths(out, static_cast<bool>(sample.bind), nullptr, at);
  return out;
}

Tensor& hyperparameter(TransformState& state, const std::string& name) {
  return list_of(state, name.c_str()).at(0);
}

GradientTransformation lookahead(GradientTransformation fast, LookaheadOptions o) {
  if (o.sync_period < 1)
    fail<ValueError>("lookahead: expected a period of at least 1, got {}", o.sync_period);
  GradientTransformation out;
  out.description = fmt::format("lookahead({}, {}, {}, {})", described(fast.description),
                                o.sync_period, o.slow_step_size, o.reset_state);
  out.init_list = [fast](const TensorList& params) {
    TransformState state;
    state.lists["steps_since_sync"] = {zero_count(params)};
    state.lists["slow"] = params;
    state.parts = {fast.init_list(params)};
    return state;
  };
  set_update(out, {fast},
             [=](const TensorList& grads, TransformState& state, const TensorList& params,
                 const ExtraArguments& extra) {
               TransformState& inner = part_of(state, 0, 1);
               const TensorList updates = detail::update_lists(fast, grads, inner, params, extra);
               Tensor& since = list_of(state, "steps_since_sync").at(0);
               const Tensor sync = equal(since, whole(o.sync_period - 1));
               TensorList& slow = list_of(state, "slow");
               const TensorList chosen = map(updates, [&](size_t i, const Tensor& update) {
                 const Tensor ahead = wide(params[i]) + update - wide(slow[i]);
                 store(slow[i],
                       where(sync, wide(slow[i]) + o.slow_step_size * ahead, wide(slow[i])));
                 return where(sync, update - (1 - o.slow_step_size) * ahead, update);
               });
               if (o.reset_state) inner = choose(sync, fast.init_list(params), inner);
               since = where(sync, whole(0), since + 1);
               return chosen;
             });
  set_bind(out, {fast},
           [=](std::vector<GradientTransformation> bound) { return lookahead(bound[0], o); });
  return out;
}

GradientTransformation apply_every(int64_t k) {
  if (k < 1) fail<ValueError>("apply_every: expected a number of steps of at least 1, got {}", k);
  return leafwise(
      fmt::format("apply_every({})", k), {{"sum"}}, [k](Leaf& leaf, const Tensor& step) {
        const Tensor turn = (step - 1) % whole(k);
        leaf.state[0] = leaf.gradient + where(equal(turn, whole(0)), 0.0, leaf.state[0]);
        return where(equal(turn, whole(k - 1)), leaf.state[0], zeros_like(leaf.gradient));
      });
}

namespace {

void check(const PlateauOptions& o) {
  if (!(o.factor > 0 && o.factor < 1))
    fail<ValueError>("reduce_on_plateau: expected a factor between 0 and 1, got {}", o.factor);
  if (o.rtol < 0 || o.rtol > 1 || o.atol < 0 || (o.rtol == 0 && o.atol == 0)) {
    fail<ValueError>(
        "reduce_on_plateau: expected a positive tolerance, the relative one at most 1, got rtol {} "
        "and atol {}",
        o.rtol, o.atol);
  }
}

/// The state after the mean of some values is known.
TransformState after_value(const PlateauOptions& o, TransformState state) {
  const auto get = [&](const char* name) -> Tensor& { return list_of(state, name).at(0); };
  const Tensor mean = get("mean_value"), best = get("best_value");
  const Tensor improved = mean < (1 - o.rtol) * best - o.atol;
  const Tensor waited = where(improved, whole(0), next_count(get("plateau_count")));
  const Tensor cooling = get("cooldown_count") > whole(0);
  const Tensor falls = logical_and(logical_not(cooling), equal(waited, whole(o.patience)));
  get("best_value") = where(improved, mean, best);
  get("scale") = where(falls, maximum(get("scale") * o.factor, o.min_scale),
                       where(cooling, get("scale"), maximum(get("scale"), o.min_scale)));
  get("plateau_count") = where(logical_or(cooling, falls), whole(0), waited);
  get("cooldown_count") =
      where(cooling, get("cooldown_count") - 1, where(falls, whole(o.cooldown), whole(0)));
  get("value_count") = whole(0);
  get("mean_value") = scalar(0, DType::kF32);
  return state;
}

}  // namespace

GradientTransformation reduce_on_plateau(PlateauOptions o) {
  check(o);
  GradientTransformation out;
  out.description =
      fmt::format("reduce_on_plateau({}, {}, {}, {}, {}, {}, {})", o.factor, o.patience, o.rtol,
                  o.atol, o.cooldown, o.accumulation, o.min_scale);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    for (const char* count : {"plateau_count", "cooldown_count", "value_count"})
      state.lists[count] = {zero_count(params)};
    const auto number = [&](double x) { return number_beside(params, scalar(x, DType::kF32)); };
    state.lists["best_value"] = {number(HUGE_VAL)};
    state.lists["mean_value"] = {number(0)};
    state.lists["scale"] = {number(1)};
    return state;
  };
  set_update(out, [o](const TensorList& grads, TransformState& state, const TensorList&,
                      const ExtraArguments& extra) {
    if (!extra.value.defined()) {
      fail<ValueError>(
          "reduce_on_plateau: the value of the loss is needed\n  hint: update(grads, state, "
          "params, {{.value = loss}})");
    }
    Tensor& mean = list_of(state, "mean_value").at(0);
    Tensor& count = list_of(state, "value_count").at(0);
    const Tensor seen = astype(count, DType::kF32);
    mean = (seen * mean + astype(extra.value, DType::kF32)) / (seen + 1);
    count = count + 1;
    state = choose(equal(count, whole(o.accumulation)), after_value(o, state), state);
    const Tensor scale = list_of(state, "scale").at(0);
    return scaled(grads, scale);
  });
  return out;
}

}  // namespace linnet::optim
