#include <algorithm>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/detail/optim.h"
#include "linnet/ops.h"
#include "linnet/optim.h"
#include "linnet/optim/wrappers.h"
#include "modules/optim/transform.h"

namespace linnet::optim {
TensorList apply_updates(const TensorList& params, const TensorList& updates) {
  require_params("apply_updates", updates, params);
  return map(params,
             [&](size_t i, const Tensor& p) { return astype(wide(p) + updates[i], p.dtype()); });
}

TensorList step_lists(const GradientTransformation& tx, const TensorList& params,
                      const TensorList& grads, TransformState& state, const ExtraArguments& extra) {
  // Whole steps are kernels of real numbers.
  const bool real = std::none_of(params.begin(), params.end(),
                                 [](const Tensor& p) { return is_complex(p.dtype()); });
  if (tx.step_list && real) return tx.step_list(grads, state, params);
  return apply_updates(params, detail::update_lists(tx, grads, state, params, extra));
}

namespace detail {

TensorList update_lists(const GradientTransformation& tx, const TensorList& grads,
                        TransformState& state, const TensorList& params,
                        const ExtraArguments& extra) {
  if (!tx.update_extra) return tx.update_list(grads, state, params);
  if (!extra.gradients.empty()) return tx.update_extra(grads, state, params, extra);
  ExtraArguments all = extra;
  all.gradients = grads;
  return tx.update_extra(grads, state, params, all);
}

}  // namespace detail

GradientTransformation chain(std::vector<GradientTransformation> parts) {
  GradientTransformation out;
  for (const GradientTransformation& part : parts) {
    out.description += (out.description.empty() ? "chain(" : ", ") + described(part.description);
  }
  out.description += out.description.empty() ? "chain()" : ")";
  out.init_list = [parts](const TensorList& params) {
    TransformState state;
    for (const GradientTransformation& part : parts) state.parts.push_back(part.init_list(params));
    return state;
  };
  const auto update_first = [parts](size_t count, const TensorList& grads, TransformState& state,
                                    const TensorList& params, const ExtraArguments& extra) {
    TensorList updates = grads;
    for (size_t i = 0; i < count; ++i) {
      updates =
          detail::update_lists(parts[i], updates, part_of(state, i, parts.size()), params, extra);
    }
    return updates;
  };
  set_update(out, parts,
             [=, count = parts.size()](const TensorList& grads, TransformState& state,
                                       const TensorList& params, const ExtraArguments& extra) {
               return update_first(count, grads, state, params, extra);
             });
  if (!parts.empty() && parts.back().step_list && !out.update_extra) {
    out.step_list = [=](const TensorList& grads, TransformState& state, const TensorList& params) {
      const size_t last = parts.size() - 1;
      const TensorList updates = update_first(last, grads, state, params, {});
      return parts[last].step_list(updates, part_of(state, last, parts.size()), params);
    };
  }
  set_bind(out, parts, [](std::vector<GradientTransformation> bound) { return chain(bound); });
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
                     return map(grads, [&](size_t, const Tensor& g) { return wide(g) * factor; });
                   });
}

GradientTransformation scale_by_learning_rate(Rate rate) {
  if (rate.constant()) return scale(-rate.value());
  GradientTransformation out;
  out.description = fmt::format("scale_by_learning_rate({})", rate.text());
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    return state;
  };
  out.update_list = [rate](const TensorList& grads, TransformState& state, const TensorList&) {
    const Tensor factor = -rate.at(count_of(state));
    advance(state);
    return map(grads, [&](size_t, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      return g * astype(factor, g.dtype());
    });
  };
  return out;
}

GradientTransformation scale_by_adam(AdamOptions o) {
  GradientTransformation out;
  out.description =
      fmt::format("scale_by_adam({}, {}, {}, {}, {}{})", o.b1, o.b2, o.eps, o.eps_root, o.nesterov,
                  o.mu_dtype ? fmt::format(", {}", name_of(*o.mu_dtype)) : "");
  out.init_list = [o](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    state.lists["mu"] = zeros_of(params);
    if (o.mu_dtype) {
      for (Tensor& mean : state.lists["mu"]) mean = astype(mean, *o.mu_dtype);
    }
    state.lists["nu"] = zeros_of(params);
    return state;
  };
  out.update_list = [o](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& mu = list_of(state, "mu");
    TensorList& nu = list_of(state, "nu");
    advance(state);
    const Tensor& step = count_of(state);
    const Tensor c1 = bias_correction(o.b1, step), c2 = bias_correction(o.b2, step);
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor first = (1 - o.b1) * g + o.b1 * wide(mu[i]);
      const Tensor second = (1 - o.b2) * abs_squared(g) + o.b2 * wide(nu[i]);
      store(mu[i], first);
      store(nu[i], second);
      Tensor m = first / astype(c1, g.dtype());
      if (o.nesterov) {
        const Tensor next = bias_correction(o.b1, next_count(step));
        m = o.b1 * first / astype(next, g.dtype()) + (1 - o.b1) * g / astype(c1, g.dtype());
      }
      return m / (sqrt(second / astype(c2, g.dtype()) + o.eps_root) + o.eps);
    });
  };
  return out;
}

GradientTransformation scale_by_rms(double decay, double eps, double initial_scale) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_rms({}, {}, {})", decay, eps, initial_scale);
  out.init_list = [initial_scale](const TensorList& params) {
    TransformState state;
    state.lists["nu"] =
        map(params, [&](size_t, const Tensor& p) { return filled_beside(p, initial_scale); });
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& nu = list_of(state, "nu");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor mean_square = (1 - decay) * abs_squared(g) + decay * wide(nu[i]);
      store(nu[i], mean_square);
      return g * rsqrt(mean_square + eps);
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
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient), momentum = wide(mu[i]);
      store(mu[i], (1 - b2) * g + b2 * momentum);
      return sign((1 - b1) * g + b1 * momentum);
    });
  };
  return out;
}

namespace {

GradientTransformation add_all_decayed_weights(const Rate& weight_decay) {
  const bool counted = !weight_decay.constant();
  GradientTransformation out;
  out.description = fmt::format("add_decayed_weights({})", weight_decay.text());
  out.init_list = [counted](const TensorList& params) {
    TransformState state;
    if (counted) state.lists["count"] = {zero_count(params)};
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList& params) {
    require_params("add_decayed_weights", grads, params);
    if (!counted) {
      return map(grads, [&](size_t i, const Tensor& g) {
        return wide(g) + weight_decay.value() * wide(params[i]);
      });
    }
    const Tensor now = weight_decay.at(count_of(state));
    advance(state);
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      return g + astype(now, g.dtype()) * wide(params[i]);
    });
  };
  return out;
}

}  // namespace

GradientTransformation add_decayed_weights(Rate weight_decay, std::optional<Mask> mask) {
  GradientTransformation all = add_all_decayed_weights(weight_decay);
  return mask ? masked(std::move(all), *mask) : all;
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
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor sum = g + decay * wide(momentum[i]);
      store(momentum[i], sum);
      return nesterov ? g + decay * sum : sum;
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

namespace {

/// A power of two that brings every finite number to where it can be squared, exactly but for
/// numbers too small to matter beside one whose square overflows.
double square_scale(DType dtype) { return dtype == DType::kF64 ? 0x1p-768 : 0x1p-96; }

/// The norm of a list, with derivative 0 where all of it is 0.
Tensor norm_of(const TensorList& list) {
  const Tensor squares = sum_of_squares(list);
  const Tensor positive = squares != 0;
  return where(positive, sqrt(where(positive, squares, 1.0)), 0.0);
}

TensorList clip_rescaled(const TensorList& grads, double limit) {
  const TensorList plain = map(grads, [](size_t, const Tensor& g) { return wide(g); });
  const TensorList scaled =
      map(plain, [](size_t, const Tensor& g) { return g * square_scale(g.dtype()); });
  const Tensor norm = norm_of(plain);
  const Tensor huge = is_inf(norm);
  const Tensor chosen = where(huge, norm_of(scaled), norm);
  const Tensor divisor = where(equal(chosen, 0), 1.0, chosen);
  const Tensor small = norm < limit;
  return map(plain, [&](size_t i, const Tensor& g) {
    const Tensor divided = where(huge, scaled[i], g) / astype(divisor, g.dtype());
    return where(small, g, divided * limit);
  });
}

TensorList clip_as_optax(const TensorList& grads, double limit) {
  const Tensor norm = global_norm(grads);
  const Tensor small = norm < limit;
  return map(grads, [&](size_t, const Tensor& gradient) {
    const Tensor g = wide(gradient);
    return where(small, g, g / astype(norm, g.dtype()) * limit);
  });
}

}  // namespace

GradientTransformation clip_by_global_norm(double limit, GlobalNormOptions options) {
  const bool rescale = options.rescale;
  return stateless(fmt::format("clip_by_global_norm({}{})", limit, rescale ? "" : ", as optax"),
                   [=](const TensorList& grads, const TensorList&) {
                     return rescale ? clip_rescaled(grads, limit) : clip_as_optax(grads, limit);
                   });
}

namespace {

/// The parameters that decay, and the others.
struct DecayGroup {
  double weight_decay;
  std::vector<size_t> members;
};

std::vector<DecayGroup> decay_groups(const AdamWOptions& o, const std::vector<tree::Path>* paths,
                                     const TensorList& params) {
  std::vector<DecayGroup> groups{{o.weight_decay, {}}, {0, {}}};
  const std::vector<bool> decays =
      o.mask ? mask_of("adamw", *o.mask, paths, params) : std::vector<bool>(params.size(), true);
  for (size_t i = 0; i < params.size(); ++i) groups[decays[i] ? 0 : 1].members.push_back(i);
  return groups;
}

/// parameters, state and rate -> new parameters, through the fused composite.
TensorList adamw_step(const Rate& rate, const AdamWOptions& o, const std::vector<tree::Path>* paths,
                      const TensorList& grads, TransformState& state, const TensorList& params) {
  require_params("adamw", grads, params);
  if (state.parts.empty())
    fail<TreeError>("adamw: the state was made by another transformation's init");
  TransformState& adam = state.parts[0];
  const Tensor rate_now = astype(rate.at(count_of(adam)), DType::kF32);
  advance(adam);
  const Tensor& step = count_of(adam);
  const TensorList scalars{rate_now, bias_correction(o.b1, step), bias_correction(o.b2, step)};
  TensorList& mu = list_of(adam, "mu");
  TensorList& nu = list_of(adam, "nu");
  TensorList next = params;
  for (const DecayGroup& group : decay_groups(o, paths, params)) {
    const size_t n = group.members.size();
    if (n == 0) continue;
    TensorList operands = scalars;
    for (const TensorList* list :
         std::initializer_list<const TensorList*>{&params, &grads, &mu, &nu})
      for (size_t i : group.members) operands.push_back((*list)[i]);
    const TensorList out = emit(
        adamw_update_primitive(), operands,
        AdamWParams{static_cast<int64_t>(n), o.b1, o.b2, o.eps, o.eps_root, group.weight_decay});
    for (size_t k = 0; k < n; ++k) {
      const size_t i = group.members[k];
      next[i] = out[k];
      mu[i] = out[n + k];
      nu[i] = out[2 * n + k];
    }
  }
  for (TransformState& part : state.parts) {
    if (&part != &adam && part.lists.count("count")) advance(part);
  }
  return next;
}

/// @param paths of the parameters, once they are known.
GradientTransformation adamw_at(const Rate& rate, const AdamWOptions& o,
                                const std::shared_ptr<const std::vector<tree::Path>>& paths) {
  GradientTransformation decay = add_decayed_weights(o.weight_decay, o.mask);
  if (paths && decay.bind) decay = decay.bind(*paths);
  GradientTransformation out = chain(scale_by_adam({.b1 = o.b1,
                                                    .b2 = o.b2,
                                                    .eps = o.eps,
                                                    .eps_root = o.eps_root,
                                                    .nesterov = o.nesterov,
                                                    .mu_dtype = o.mu_dtype}),
                                     std::move(decay), scale_by_learning_rate(rate));
  if (!o.nesterov && !o.mu_dtype) {
    out.description = "adamw " + out.description;  // its rounding is not that of the chain
    out.step_list = [=](const TensorList& grads, TransformState& state, const TensorList& params) {
      return adamw_step(rate, o, paths.get(), grads, state, params);
    };
  }
  if (out.bind) {
    out.bind = [=](const std::vector<tree::Path>& at) {
      return adamw_at(rate, o, std::make_shared<const std::vector<tree::Path>>(at));
    };
  }
  return out;
}

}  // namespace

GradientTransformation adamw(Rate rate, AdamWOptions options) {
  return adamw_at(rate, options, nullptr);
}

GradientTransformation adam(Rate rate, AdamOptions o) {
  GradientTransformation out = chain(scale_by_adam(o), scale_by_learning_rate(rate));
  if (o.nesterov || o.mu_dtype) return out;
  out.description = "adam " + out.description;
  const AdamWOptions without_decay{
      .b1 = o.b1, .b2 = o.b2, .eps = o.eps, .eps_root = o.eps_root, .weight_decay = 0};
  out.step_list = [=](const TensorList& grads, TransformState& state, const TensorList& params) {
    return adamw_step(rate, without_decay, nullptr, grads, state, params);
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
    state.lists["sum_of_squares"] =
        map(params, [&](size_t, const Tensor& p) { return filled_beside(p, initial_accumulator); });
    return state;
  };
  sums.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& total = list_of(state, "sum_of_squares");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor squares = abs_squared(g) + wide(total[i]);
      store(total[i], squares);
      return where(real(squares) > 0, rsqrt(squares + eps), 0.0) * g;
    });
  };
  return chain(std::move(sums), scale_by_learning_rate(rate));
}

}  // namespace linnet::optim
