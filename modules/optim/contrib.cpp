// Optimisers of linnet/optim/contrib.h.
#include "linnet/optim/contrib.h"

#include <cmath>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim/schedules.h"
#include "modules/optim/transform.h"

namespace linnet::optim {

GradientTransformation scale_by_sign() {
  return stateless("scale_by_sign()", [](const TensorList& grads, const TensorList&) {
    return map(grads, [](size_t, const Tensor& g) { return sign(wide(g)); });
  });
}
GradientTransformation sign_sgd(Rate rate) {
  return chain(scale_by_sign(), scale_by_learning_rate(std::move(rate)));
}
GradientTransformation signum(Rate rate, double beta) {
  return chain(ema(beta, false), scale_by_sign(), scale_by_learning_rate(std::move(rate)));
}

namespace {

/// 1 / sqrt(1 + rate²), times the rate, or less 1.
Rate shrunk(const Rate& rate, bool times_rate) {
  const auto of = [times_rate](const auto& r, const auto& shrink) {
    return times_rate ? r * shrink : shrink - 1;
  };
  if (rate.constant()) {
    const double r = rate.value();
    return of(r, 1 / std::sqrt(1 + r * r));
  }
  const std::string text = fmt::format("shrunk({}, {})", rate.text(), times_rate);
  return Schedule(Function<Tensor(const Tensor&)>([rate, of](const Tensor& step) {
                    const Tensor r = rate.at(step);
                    return of(r, rsqrt(1 + square(r)));
                  }),
                  text);
}

}  // namespace

GradientTransformation fromage(Rate rate, double min_norm) {
  return chain(scale_by_trust_ratio({.min_norm = min_norm}),
               scale_by_learning_rate(shrunk(rate, true)),
               add_decayed_weights(shrunk(rate, false)));
}

GradientTransformation scale_by_optimistic_gradient(double alpha, double beta) {
  return leafwise(fmt::format("scale_by_optimistic_gradient({}, {})", alpha, beta),
                  {{"previous_gradient"}}, [=](Leaf& leaf, const Tensor& step) {
                    const Tensor before = where(equal(step, 1), leaf.gradient, leaf.state[0]);
                    leaf.state[0] = leaf.gradient;
                    return (alpha + beta) * leaf.gradient - beta * before;
                  });
}
GradientTransformation optimistic_gradient_descent(Rate rate, double alpha, double beta) {
  return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(std::move(rate)));
}

GradientTransformation scale_by_polyak(PolyakOptions o) {
  GradientTransformation out;
  out.description =
      fmt::format("scale_by_polyak({}, {}, {}, {})", o.f_min, o.max_learning_rate, o.eps, o.plus);
  out.init_list = [](const TensorList&) { return TransformState{}; };
  set_update(out, [=](const TensorList& grads, TransformState&, const TensorList&,
                      const ExtraArguments& extra) {
    if (!extra.value.defined())
      fail<ValueError>(
          "scale_by_polyak: the value of the function is needed\n  hint: update(grads, state, "
          "params, {{.value = loss}})");
    const Tensor squares = sum_of_squares(grads) + o.eps;
    const Tensor gap = astype(extra.value, squares.dtype()) - o.f_min;
    const Tensor none = squares <= finfo(DType::kF32).eps;
    const Tensor ratio = (o.plus ? relu(gap) : gap) / where(none, 1.0, squares);
    return scaled(grads, where(none, 0.0, minimum(ratio, o.max_learning_rate)));
  });
  return out;
}
GradientTransformation polyak_sgd(PolyakOptions options, Rate scaling) {
  return chain(sgd(std::move(scaling)), scale_by_polyak(options));
}

GradientTransformation scale_by_ademamix(AdemamixOptions o) {
  return leafwise(fmt::format("scale_by_ademamix({}, {}, {}, {}, {}, {})", o.b1, o.b2, o.b3.text(),
                              o.alpha.text(), o.eps, o.eps_root),
                  {{"m1"}, {"m2"}, {"nu"}}, [o](Leaf& leaf, const Tensor& step) {
                    const Tensor& g = leaf.gradient;
                    const Tensor b3 = o.b3.at(step - 1), alpha = o.alpha.at(step - 1);
                    leaf.state[0] = (1 - o.b1) * g + o.b1 * leaf.state[0];
                    leaf.state[1] = (1 - b3) * g + b3 * leaf.state[1];
                    leaf.state[2] = (1 - o.b2) * abs_squared(g) + o.b2 * leaf.state[2];
                    const Tensor mean = leaf.state[0] / bias_correction(o.b1, step);
                    const Tensor squares = leaf.state[2] / bias_correction(o.b2, step);
                    return (mean + alpha * leaf.state[1]) / (sqrt(squares + o.eps_root) + o.eps);
                  });
}
GradientTransformation ademamix(Rate rate, AdemamixOptions o) {
  return chain(scale_by_ademamix(o), add_decayed_weights(o.weight_decay, o.mask),
               scale_by_learning_rate(std::move(rate)));
}

GradientTransformation scale_by_adopt(AdoptOptions o) {
  return leafwise(fmt::format("scale_by_adopt({}, {}, {}, {}, {})", o.b1, o.b2, o.eps, o.nesterov,
                              o.use_clipping),
                  {{"mu"}, {"nu"}}, [o](Leaf& leaf, const Tensor& step) {
                    const Tensor& g = leaf.gradient;
                    const Tensor first = equal(step, 1);
                    const Tensor b1 = where(first, 1.0f, static_cast<float>(o.b1));
                    const Tensor b2 = where(first, 0.0f, static_cast<float>(o.b2));
                    Tensor normalised = g / maximum(sqrt(leaf.state[1]), o.eps);
                    if (o.use_clipping) {
                      const Tensor bound = pow(astype(step - 1, DType::kF32), 0.25);
                      normalised = clip(normalised, -bound, bound);
                    }
                    const auto moved = [&](const Tensor& mean) {
                      return (1 - b1) * normalised + b1 * mean;
                    };
                    leaf.state[1] = (1 - b2) * abs_squared(g) + b2 * leaf.state[1];
                    leaf.state[0] = moved(leaf.state[0]);
                    return o.nesterov ? moved(leaf.state[0]) : leaf.state[0];
                  });
}
GradientTransformation adopt(Rate rate, AdoptOptions o) {
  return chain(scale_by_adopt(o), scale_by_learning_rate(std::move(rate)));
}

namespace {

/// x = (p - (1 - b1) z) / b1.
Tensor mean_of(const Tensor& p, const Tensor& z, const Tensor& b1) {
  return (wide(p) - (1 - b1) * wide(z)) / b1;
}

GradientTransformation schedule_free_around(const GradientTransformation& base, const Rate& rate,
                                            double b1, double power) {
  GradientTransformation out;
  out.description = fmt::format("schedule_free({}, {}, {}, {})", described(base.description),
                                rate.text(), b1, power);
  out.init_list = [=](const TensorList& params) {
    TransformState state;
    state.lists["b1"] = {number_beside(params, static_cast<float>(b1))};
    state.lists["count"] = {zero_count(params)};
    for (const char* name : {"weight_sum", "max_rate"})
      state.lists[name] = {zero_count(params, DType::kF32)};
    state.lists["z"] = params;
    state.parts = {base.init_list(params)};
    return state;
  };
  set_update(out, {base},
             [=](const TensorList& grads, TransformState& state, const TensorList& params,
                 const ExtraArguments& extra) {
               require_params("schedule_free", grads, params);
               const TensorList moves =
                   detail::update_lists(base, grads, part_of(state, 0, 1), params, extra);
               advance(state);
               Tensor& largest = list_of(state, "max_rate")[0];
               Tensor& total = list_of(state, "weight_sum")[0];
               store(largest, maximum(largest, rate.at(count_of(state))));
               const Tensor weight = pow(largest, power);
               store(total, total + weight);
               const Tensor none = equal(total, 0);
               const Tensor share = where(none, 0.0, weight / where(none, 1.0, total));
               const Tensor own = list_of(state, "b1")[0];
               TensorList& z = list_of(state, "z");
               return map(params, [&](size_t i, const Tensor& p) {
                 const Tensor before = mean_of(p, z[i], own);
                 store(z[i], wide(z[i]) + moves[i]);
                 const Tensor x = (1 - share) * before + share * wide(z[i]);
                 return own * x + (1 - own) * wide(z[i]) - wide(p);
               });
             });
  set_bind(out, {base}, [=](const std::vector<GradientTransformation>& bound) {
    return schedule_free_around(bound[0], rate, b1, power);
  });
  return out;
}

Rate warmed(double rate, const std::optional<int64_t>& steps) {
  return steps ? Rate(warmup_constant_schedule(0, rate, *steps)) : Rate(rate);
}

}  // namespace

GradientTransformation schedule_free(GradientTransformation base, Rate rate, double b1,
                                     double weight_lr_power) {
  return schedule_free_around(base, rate, b1, weight_lr_power);
}
GradientTransformation schedule_free_sgd(double rate, ScheduleFreeOptions o) {
  const Rate warm = warmed(rate, o.warmup_steps);
  return schedule_free(chain(add_decayed_weights(o.weight_decay), sgd(warm)), warm, o.b1,
                       o.weight_lr_power);
}
GradientTransformation schedule_free_adamw(double rate, ScheduleFreeOptions o) {
  const Rate warm = warmed(rate, o.warmup_steps);
  return schedule_free(
      chain(scale_by_rms(
                {.decay = o.b2, .eps = o.eps, .eps_in_sqrt = false, .bias_correction = true}),
            add_decayed_weights(o.weight_decay), scale_by_learning_rate(warm)),
      warm, o.b1, o.weight_lr_power);
}

namespace detail {

TensorList schedule_free_list(const TransformState& state, const TensorList& params) {
  TransformState copy = state;
  const Tensor b1 = list_of(copy, "b1").at(0);
  const TensorList& z = list_of(copy, "z");
  require_params("schedule_free_eval_params", z, params);
  return map(params,
             [&](size_t i, const Tensor& p) { return astype(mean_of(p, z[i], b1), p.dtype()); });
}

}  // namespace detail

}  // namespace linnet::optim
