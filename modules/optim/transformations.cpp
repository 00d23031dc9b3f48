#include "core/base/format.h"
#include "core/ops/optim.h"
#include "linnet/ops.h"
#include "linnet/optim.h"

namespace linnet::optim {
namespace {

TensorList zeros_of(const TensorList& params) {
  TensorList out;
  for (const Tensor& p : params) out.push_back(zeros(p.shape(), p.dtype()));
  return out;
}

Tensor zero_count() { return scalar_integer(0, DType::kI32); }

/// @throws TreeError if the state was made by another transformation.
TensorList& list_of(TransformState& state, const char* name) {
  const auto found = state.lists.find(name);
  if (found == state.lists.end()) {
    fail<TreeError>(
        "optim: the state has no '{}'\n  hint: it was made by another transformation's init", name);
  }
  return found->second;
}
TransformState& part_of(TransformState& state, size_t i, size_t parts) {
  if (state.parts.size() != parts) {
    fail<TreeError>(
        "optim: a chain of {} parts was given a state of {}\n  hint: it was made by another "
        "transformation's init",
        parts, state.parts.size());
  }
  return state.parts[i];
}
Tensor& count_of(TransformState& state) { return list_of(state, "count").at(0); }
void advance(TransformState& state) {
  count_of(state) = count_of(state) + scalar_integer(1, DType::kI32);
}

template <class F>
GradientTransformation stateless(std::string description, F per_list) {
  GradientTransformation out;
  out.description = std::move(description);
  out.init_list = [](const TensorList&) { return TransformState{}; };
  out.update_list = [per_list](const TensorList& grads, TransformState&, const TensorList& params) {
    return per_list(grads, params);
  };
  return out;
}

template <class F>
TensorList map(const TensorList& list, F&& f) {
  TensorList out;
  out.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) out.push_back(f(i, list[i]));
  return out;
}

void require_params(const char* name, const TensorList& grads, const TensorList& params) {
  if (grads.size() != params.size()) {
    fail<TreeError>("{}: {} gradients were given for {} parameters", name, grads.size(),
                    params.size());
  }
}

/// 1 - decay^t for the step about to be taken.
Tensor bias_correction(double decay, const Tensor& step) {
  return 1 - pow(scalar(decay, DType::kF32), astype(step, DType::kF32));
}

}  // namespace

TensorList apply_updates(const TensorList& params, const TensorList& updates) {
  require_params("apply_updates", updates, params);
  return map(params, [&](size_t i, const Tensor& p) { return astype(p + updates[i], p.dtype()); });
}

TensorList step_lists(const GradientTransformation& tx, const TensorList& params,
                      const TensorList& grads, TransformState& state) {
  if (tx.step_list) return tx.step_list(grads, state, params);
  return apply_updates(params, tx.update_list(grads, state, params));
}

GradientTransformation chain(std::vector<GradientTransformation> parts) {
  GradientTransformation out;
  for (const GradientTransformation& part : parts) {
    out.description += (out.description.empty() ? "chain(" : ", ") + part.description;
  }
  out.description += ")";
  out.init_list = [parts](const TensorList& params) {
    TransformState state;
    for (const GradientTransformation& part : parts) state.parts.push_back(part.init_list(params));
    return state;
  };
  out.update_list = [parts](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
    TensorList updates = grads;
    for (size_t i = 0; i < parts.size(); ++i)
      updates = parts[i].update_list(updates, part_of(state, i, parts.size()), params);
    return updates;
  };
  if (!parts.empty() && parts.back().step_list) {
    out.step_list = [parts](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
      TensorList updates = grads;
      for (size_t i = 0; i + 1 < parts.size(); ++i)
        updates = parts[i].update_list(updates, part_of(state, i, parts.size()), params);
      return parts.back().step_list(updates, part_of(state, parts.size() - 1, parts.size()),
                                    params);
    };
  }
  return out;
}

GradientTransformation identity() {
  return stateless("identity()", [](const TensorList& grads, const TensorList&) { return grads; });
}
GradientTransformation set_to_zero() {
  return stateless("set_to_zero()",
                   [](const TensorList& grads, const TensorList&) { return zeros_of(grads); });
}
GradientTransformation scale(double factor) {
  return stateless(fmt::format("scale({})", factor),
                   [factor](const TensorList& grads, const TensorList&) {
                     return map(grads, [&](size_t, const Tensor& g) { return g * factor; });
                   });
}

GradientTransformation scale_by_learning_rate(Rate rate) {
  if (rate.constant()) return scale(-rate.value());
  GradientTransformation out;
  out.description = fmt::format("scale_by_learning_rate({})", rate.text());
  out.init_list = [](const TensorList&) {
    TransformState state;
    state.lists["count"] = {zero_count()};
    return state;
  };
  out.update_list = [rate](const TensorList& grads, TransformState& state, const TensorList&) {
    const Tensor factor = -rate.at(count_of(state));
    advance(state);
    return map(grads, [&](size_t, const Tensor& g) { return g * astype(factor, g.dtype()); });
  };
  return out;
}

GradientTransformation scale_by_adam(AdamOptions o) {
  GradientTransformation out;
  out.description =
      fmt::format("scale_by_adam({}, {}, {}, {}, {})", o.b1, o.b2, o.eps, o.eps_root, o.nesterov);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count()};
    state.lists["mu"] = zeros_of(params);
    state.lists["nu"] = zeros_of(params);
    return state;
  };
  out.update_list = [o](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& mu = list_of(state, "mu");
    TensorList& nu = list_of(state, "nu");
    advance(state);
    const Tensor& step = count_of(state);
    const Tensor c1 = bias_correction(o.b1, step), c2 = bias_correction(o.b2, step);
    return map(grads, [&](size_t i, const Tensor& g) {
      mu[i] = (1 - o.b1) * g + o.b1 * mu[i];
      nu[i] = (1 - o.b2) * square(g) + o.b2 * nu[i];
      Tensor m = mu[i] / astype(c1, g.dtype());
      if (o.nesterov) {
        const Tensor next = bias_correction(o.b1, step + scalar_integer(1, DType::kI32));
        m = o.b1 * mu[i] / astype(next, g.dtype()) + (1 - o.b1) * g / astype(c1, g.dtype());
      }
      return m / (sqrt(nu[i] / astype(c2, g.dtype()) + o.eps_root) + o.eps);
    });
  };
  return out;
}

GradientTransformation scale_by_rms(double decay, double eps, double initial_scale) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_rms({}, {}, {})", decay, eps, initial_scale);
  out.init_list = [initial_scale](const TensorList& params) {
    TransformState state;
    state.lists["nu"] = map(
        params, [&](size_t, const Tensor& p) { return full(p.shape(), initial_scale, p.dtype()); });
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& nu = list_of(state, "nu");
    return map(grads, [&](size_t i, const Tensor& g) {
      nu[i] = (1 - decay) * square(g) + decay * nu[i];
      return g * rsqrt(nu[i] + eps);
    });
  };
  return out;
}

GradientTransformation scale_by_lion(double b1, double b2) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_lion({}, {})", b1, b2);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["mu"] = zeros_of(params);
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& mu = list_of(state, "mu");
    return map(grads, [&](size_t i, const Tensor& g) {
      const Tensor update = sign((1 - b1) * g + b1 * mu[i]);
      mu[i] = (1 - b2) * g + b2 * mu[i];
      return update;
    });
  };
  return out;
}

GradientTransformation add_decayed_weights(double weight_decay) {
  return stateless(
      fmt::format("add_decayed_weights({})", weight_decay),
      [weight_decay](const TensorList& grads, const TensorList& params) {
        require_params("add_decayed_weights", grads, params);
        return map(grads, [&](size_t i, const Tensor& g) { return g + weight_decay * params[i]; });
      });
}

GradientTransformation trace(double decay, bool nesterov) {
  GradientTransformation out;
  out.description = fmt::format("trace({}, {})", decay, nesterov);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["trace"] = zeros_of(params);
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& momentum = list_of(state, "trace");
    return map(grads, [&](size_t i, const Tensor& g) {
      momentum[i] = g + decay * momentum[i];
      return nesterov ? g + decay * momentum[i] : momentum[i];
    });
  };
  return out;
}

GradientTransformation clip(double limit) {
  return stateless(
      fmt::format("clip({})", limit), [limit](const TensorList& grads, const TensorList&) {
        return map(grads, [&](size_t, const Tensor& g) { return linnet::clip(g, -limit, limit); });
      });
}

GradientTransformation clip_by_global_norm(double limit) {
  return stateless(fmt::format("clip_by_global_norm({})", limit),
                   [limit](const TensorList& grads, const TensorList&) {
                     const Tensor norm = global_norm(grads);
                     const Tensor small = norm < limit;
                     return map(grads, [&](size_t, const Tensor& g) {
                       return where(small, g, g / astype(norm, g.dtype()) * limit);
                     });
                   });
}

namespace {

/// parameters, state and rate -> new parameters, through the fused composite.
TensorList adamw_step(const Rate& rate, const AdamWOptions& o, const TensorList& grads,
                      TransformState& state, const TensorList& params) {
  require_params("adamw", grads, params);
  if (state.parts.empty())
    fail<TreeError>("adamw: the state was made by another transformation's init");
  TransformState& adam = state.parts[0];
  const Tensor rate_now = astype(rate.at(count_of(adam)), DType::kF32);
  advance(adam);
  const Tensor& step = count_of(adam);
  TensorList operands{rate_now, bias_correction(o.b1, step), bias_correction(o.b2, step)};
  TensorList& mu = list_of(adam, "mu");
  TensorList& nu = list_of(adam, "nu");
  for (const TensorList* list : std::initializer_list<const TensorList*>{&params, &grads, &mu, &nu})
    operands.insert(operands.end(), list->begin(), list->end());
  const int64_t n = static_cast<int64_t>(params.size());
  TensorList out = emit(adamw_update_primitive(), operands,
                        AdamWParams{n, o.b1, o.b2, o.eps, o.eps_root, o.weight_decay});
  mu.assign(out.begin() + n, out.begin() + 2 * n);
  nu.assign(out.begin() + 2 * n, out.end());
  out.resize(static_cast<size_t>(n));
  for (TransformState& part : state.parts) {
    if (&part != &adam && part.lists.count("count")) advance(part);
  }
  return out;
}

}  // namespace

GradientTransformation adamw(Rate rate, AdamWOptions o) {
  GradientTransformation out =
      chain(scale_by_adam({.b1 = o.b1, .b2 = o.b2, .eps = o.eps, .eps_root = o.eps_root}),
            add_decayed_weights(o.weight_decay), scale_by_learning_rate(rate));
  out.step_list = [rate, o](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
    return adamw_step(rate, o, grads, state, params);
  };
  return out;
}

GradientTransformation adam(Rate rate, AdamOptions o) {
  GradientTransformation out = chain(scale_by_adam(o), scale_by_learning_rate(rate));
  if (o.nesterov) return out;
  out.step_list = [rate, o](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
    return adamw_step(
        rate, {.b1 = o.b1, .b2 = o.b2, .eps = o.eps, .eps_root = o.eps_root, .weight_decay = 0},
        grads, state, params);
  };
  return out;
}

GradientTransformation sgd(Rate rate, std::optional<double> momentum, bool nesterov) {
  if (!momentum) return chain(scale_by_learning_rate(rate));
  return chain(trace(*momentum, nesterov), scale_by_learning_rate(rate));
}
GradientTransformation rmsprop(Rate rate, double decay, double eps) {
  return chain(scale_by_rms(decay, eps), scale_by_learning_rate(rate));
}
GradientTransformation lion(Rate rate, double b1, double b2, double weight_decay) {
  return chain(scale_by_lion(b1, b2), add_decayed_weights(weight_decay),
               scale_by_learning_rate(rate));
}

GradientTransformation adagrad(Rate rate, double initial_accumulator, double eps) {
  GradientTransformation sums;
  sums.description = fmt::format("scale_by_rss({}, {})", initial_accumulator, eps);
  sums.init_list = [=](const TensorList& params) {
    TransformState state;
    state.lists["sum_of_squares"] = map(params, [&](size_t, const Tensor& p) {
      return full(p.shape(), initial_accumulator, p.dtype());
    });
    return state;
  };
  sums.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& total = list_of(state, "sum_of_squares");
    return map(grads, [&](size_t i, const Tensor& g) {
      total[i] = square(g) + total[i];
      return where(total[i] > 0, rsqrt(total[i] + eps), 0.0) * g;
    });
  };
  return chain(std::move(sums), scale_by_learning_rate(rate));
}

void Optimizer::visit(tree::Visitor& visitor) {
  visitor.enter(typeid(Optimizer), 4);
  visitor.child("description");
  visitor.fixed(typeid(std::string), tx_.description);
  visitor.child("wrt");
  visitor.fixed(typeid(std::string), wrt_.text());
  visitor.child("step");
  visitor.tensor(step_);
  visitor.child("state");
  tree::visit(state_, visitor);
  visitor.leave();
}

void Optimizer::update_state(const nnx::State& params, const nnx::State& grads) {
  TensorList values, gradients;
  for (const auto& [path, leaf] : params.entries()) {
    const nnx::StateLeaf* gradient = grads.find(path);
    if (!gradient)
      fail<ModuleError>("optimizer: there is no gradient for '{}'", tree::to_string(path));
    values.push_back(leaf.value());
    gradients.push_back(gradient->value());
  }
  if (grads.size() != params.size()) {
    fail<ModuleError>("optimizer: {} gradients were given for {} parameters", grads.size(),
                      params.size());
  }
  const TensorList next = step_lists(tx_, values, gradients, state_);
  size_t i = 0;
  for (const auto& [path, leaf] : params.entries()) {
    if (!leaf.cell)
      fail<ModuleError>("optimizer: '{}' is a plain tensor, not a variable", tree::to_string(path));
    nnx::Variable(leaf.cell).set_value(next[i++]);
  }
  step_ = step_ + scalar_integer(1, DType::kI32);
}

}  // namespace linnet::optim
