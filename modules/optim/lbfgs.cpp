#include "linnet/optim/lbfgs.h"

#include <cmath>

#include "linnet/control_flow.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "modules/optim/transform.h"

namespace linnet::optim {
namespace {

TensorList plus_scaled(const TensorList& a, const Tensor& factor, const TensorList& b) {
  return map(a, [&](size_t i, const Tensor& x) {
    const Tensor w = wide(x);
    return w + astype(factor, w.dtype()) * wide(b[i]);
  });
}

/// How parameters and gradients changed in one step, and 1 over their inner product.
struct Change {
  TensorList &params, &gradients;
  Tensor& weight;
};
Change change_of(TransformState& part) {
  return {list_of(part, "params"), list_of(part, "gradients"), list_of(part, "weight").at(0)};
}

/// The inverse Hessian, as far as the changes tell, times `gradients`; changes from old to new.
TensorList precondition(std::vector<TransformState>& changes, const Tensor& identity_scale,
                        const TensorList& gradients) {
  TensorList v = gradients;
  std::vector<Tensor> alphas(changes.size());
  for (size_t k = changes.size(); k-- > 0;) {
    const Change c = change_of(changes[k]);
    alphas[k] = c.weight * dot_of(c.params, v);
    v = plus_scaled(v, -alphas[k], c.gradients);
  }
  v = map(v, [&](size_t, const Tensor& x) { return x * astype(identity_scale, x.dtype()); });
  for (size_t k = 0; k < changes.size(); ++k) {
    const Change c = change_of(changes[k]);
    v = plus_scaled(v, alphas[k] - c.weight * dot_of(c.gradients, v), c.params);
  }
  return v;
}

TensorList difference(const TensorList& a, const TensorList& b, const Tensor& valid) {
  return map(a, [&](size_t i, const Tensor& x) {
    return where(valid, wide(x) - wide(b[i]), zeros_like(wide(x)));
  });
}

/// Forgets the oldest change and remembers the newest, which is zero in the first step.
void remember(TransformState& state, const TensorList& gradients, const TensorList& params) {
  const Tensor later = count_of(state) > scalar_integer(0, DType::kI32);
  TransformState newest;
  newest.lists["params"] = difference(params, list_of(state, "params"), later);
  newest.lists["gradients"] = difference(gradients, list_of(state, "gradients"), later);
  const Tensor product = dot_of(newest.lists["gradients"], newest.lists["params"]);
  const Tensor none = equal(product, 0);
  newest.lists["weight"] = {where(none, 0.0, 1 / where(none, 1.0, product))};
  state.parts.erase(state.parts.begin());
  state.parts.push_back(std::move(newest));
  TensorList& last_params = list_of(state, "params");
  TensorList& last_gradients = list_of(state, "gradients");
  for (size_t i = 0; i < params.size(); ++i) {
    store(last_params[i], params[i]);
    store(last_gradients[i], gradients[i]);
  }
}

/// What the recursion begins with: the newest curvature, and a short step in the first.
Tensor identity_scale_of(TransformState& state, const TensorList& gradients) {
  const Change c = change_of(state.parts.back());
  const Tensor squares = dot_of(c.gradients, c.gradients);
  const Tensor flat = equal(squares, 0);
  const Tensor curvature =
      where(flat, 1.0, dot_of(c.gradients, c.params) / where(flat, 1.0, squares));
  const Tensor first = minimum(1.0, 1 / sqrt(dot_of(gradients, gradients)));
  return where(count_of(state) > scalar_integer(0, DType::kI32), curvature, first);
}

}  // namespace

GradientTransformation scale_by_lbfgs(int64_t memory_size, bool scale_init) {
  if (memory_size < 1)
    fail<ValueError>("scale_by_lbfgs: expected a memory of at least 1, got {}", memory_size);
  GradientTransformation out;
  out.description = fmt::format("scale_by_lbfgs({}, {})", memory_size, scale_init);
  out.init_list = [memory_size](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    state.lists["params"] = zeros_of(params);
    state.lists["gradients"] = zeros_of(params);
    TransformState nothing;
    nothing.lists["params"] = nothing.lists["gradients"] =
        map(params, [](size_t, const Tensor& p) { return zeros_like(wide(p)); });
    nothing.lists["weight"] = {number_beside(params, scalar(0, DType::kF32))};
    state.parts.assign(static_cast<size_t>(memory_size), nothing);
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList& params) {
    require_params("scale_by_lbfgs", grads, params);
    part_of(state, 0, static_cast<size_t>(memory_size));
    remember(state, grads, params);
    const Tensor scale = scale_init ? identity_scale_of(state, grads) : scalar(1, DType::kF32);
    TensorList updates = precondition(state.parts, scale, grads);
    advance(state);
    return updates;
  };
  return out;
}

namespace {

/// Where a search stands.
struct Search {
  Tensor rate, value, error, steps;
  LINNET_FIELDS(rate, value, error, steps)
};

/// By how much `next` is above what the step should have brought.
Tensor decrease_error(const BacktrackingOptions& o, const Tensor& rate, const Tensor& slope,
                      const Tensor& value, const Tensor& next) {
  const Tensor error = next - (1 + o.rtol) * value - rate * o.slope_rtol * slope;
  return maximum(where(is_nan(error), HUGE_VAL, error), 0.0);
}

Search backtrack(const BacktrackingOptions& o, const Tensor& last_rate, const TensorList& updates,
                 const TensorList& params, const ExtraArguments& extra) {
  const Tensor value = astype(extra.value, DType::kF32);
  const Tensor slope = dot_of(updates, extra.gradients);
  const Tensor zero = scalar_integer(0, DType::kI32);
  const Search start{minimum(o.increase_factor * last_rate, o.max_learning_rate), value,
                     scalar(HUGE_VAL, DType::kF32), zero};
  return while_loop(
      [&](const Search& s) {
        return logical_and(logical_not(s.error <= o.atol),
                           s.steps <= scalar_integer(o.max_steps, DType::kI32));
      },
      [&](const Search& s) {
        const Tensor rate = where(s.steps > zero, o.decrease_factor * s.rate, s.rate);
        const TensorList there =
            map(plus_scaled(params, rate, updates),
                [&](size_t i, const Tensor& p) { return astype(p, params[i].dtype()); });
        const Tensor next = astype(extra.value_fn(there), DType::kF32);
        return Search{rate, next, decrease_error(o, rate, slope, value, next), s.steps + 1};
      },
      start);
}

}  // namespace

GradientTransformation scale_by_backtracking_linesearch(BacktrackingOptions o) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_backtracking_linesearch({}, {}, {}, {}, {}, {}, {})",
                                o.max_steps, o.slope_rtol, o.decrease_factor, o.increase_factor,
                                o.max_learning_rate, o.atol, o.rtol);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    const auto number = [&](double x) { return number_beside(params, scalar(x, DType::kF32)); };
    state.lists["learning_rate"] = {number(1)};
    state.lists["value"] = {number(HUGE_VAL)};
    state.lists["decrease_error"] = {number(HUGE_VAL)};
    state.lists["steps"] = {zero_count(params)};
    return state;
  };
  set_update(out, [o](const TensorList& grads, TransformState& state, const TensorList& params,
                      const ExtraArguments& extra) {
    require_value("scale_by_backtracking_linesearch", extra);
    require_params("scale_by_backtracking_linesearch", grads, params);
    const Search found = backtrack(o, list_of(state, "learning_rate").at(0), grads, params, extra);
    // Without one finite value no step is made.
    const Tensor rate = where(is_inf(found.error), 0.0, found.rate);
    list_of(state, "learning_rate") = {rate};
    list_of(state, "value") = {found.value};
    list_of(state, "decrease_error") = {found.error};
    list_of(state, "steps") = {found.steps};
    return scaled(grads, rate);
  });
  return out;
}

GradientTransformation lbfgs(std::optional<Rate> rate, LbfgsOptions o) {
  return chain(scale_by_lbfgs(o.memory_size, o.scale_init),
               rate ? scale_by_learning_rate(*rate) : scale(-1),
               o.linesearch ? *o.linesearch : identity());
}

}  // namespace linnet::optim
