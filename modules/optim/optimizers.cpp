// Optimisers as chains.
#include "linnet/optim/optimizers.h"

#include "linnet/optim/wrappers.h"

namespace linnet::optim {

GradientTransformation nadam(Rate rate, AdamOptions options) {
  options.nesterov = true;
  return adam(std::move(rate), options);
}
GradientTransformation nadamw(Rate rate, AdamWOptions options) {
  options.nesterov = true;
  return adamw(std::move(rate), std::move(options));
}
GradientTransformation amsgrad(Rate rate, AdamOptions options) {
  return chain(scale_by_amsgrad(options), scale_by_learning_rate(std::move(rate)));
}
GradientTransformation adamax(Rate rate, AdamaxOptions o) {
  const GradientTransformation scaled = scale_by_adamax(o.b1, o.b2, o.eps);
  if (o.weight_decay == 0) return chain(scaled, scale_by_learning_rate(std::move(rate)));
  return chain(scaled, add_decayed_weights(o.weight_decay, o.mask),
               scale_by_learning_rate(std::move(rate)));
}
GradientTransformation adamaxw(Rate rate, AdamaxOptions options) {
  return adamax(std::move(rate), std::move(options));
}
GradientTransformation adabelief(Rate rate, BeliefOptions options) {
  return chain(scale_by_belief(options), scale_by_learning_rate(std::move(rate)));
}
GradientTransformation radam(Rate rate, RAdamOptions options) {
  return chain(scale_by_radam(options), scale_by_learning_rate(std::move(rate)));
}
GradientTransformation yogi(Rate rate, YogiOptions options) {
  return chain(scale_by_yogi(options), scale_by_learning_rate(std::move(rate)));
}
GradientTransformation novograd(Rate rate, NovogradOptions options) {
  return chain(scale_by_novograd(options), scale_by_learning_rate(std::move(rate)));
}
GradientTransformation adadelta(Rate rate, double rho, double eps, double weight_decay,
                                std::optional<Mask> mask) {
  return chain(add_decayed_weights(weight_decay, std::move(mask)), scale_by_adadelta(rho, eps),
               scale_by_learning_rate(std::move(rate)));
}
GradientTransformation adan(Rate rate, AdanOptions options, double weight_decay,
                            std::optional<Mask> mask) {
  return chain(scale_by_adan(options), add_decayed_weights(weight_decay, std::move(mask)),
               scale_by_learning_rate(std::move(rate)));
}
GradientTransformation rprop(double rate, RpropOptions options) {
  return chain(scale_by_rprop(rate, options), scale(-1));
}
GradientTransformation sm3(double rate, double momentum) {
  return chain(scale_by_sm3(momentum), scale(-rate));
}
GradientTransformation noisy_sgd(Rate rate, double eta, double gamma, const Key& key) {
  return chain(add_noise(eta, gamma, key), scale_by_learning_rate(std::move(rate)));
}

GradientTransformation rmsprop(Rate rate, RmsPropOptions o) {
  return chain(o.centered ? scale_by_stddev(o.rms) : scale_by_rms(o.rms),
               scale_by_learning_rate(std::move(rate)),
               o.momentum ? trace(*o.momentum, o.nesterov) : identity());
}

GradientTransformation lamb(Rate rate, LambOptions o) {
  return chain(scale_by_adam({.b1 = o.b1, .b2 = o.b2, .eps = o.eps, .eps_root = o.eps_root}),
               add_decayed_weights(o.weight_decay, std::move(o.mask)), scale_by_trust_ratio(),
               scale_by_learning_rate(std::move(rate)));
}

GradientTransformation lars(Rate rate, LarsOptions o) {
  GradientTransformation ratio =
      scale_by_trust_ratio({.trust_coefficient = o.trust_coefficient, .eps = o.eps});
  if (o.trust_ratio_mask) ratio = masked(std::move(ratio), *o.trust_ratio_mask);
  return chain(add_decayed_weights(o.weight_decay, std::move(o.weight_decay_mask)),
               std::move(ratio), scale_by_learning_rate(std::move(rate)),
               trace(o.momentum, o.nesterov));
}

GradientTransformation adafactor(std::optional<Rate> rate, AdafactorOptions o) {
  std::vector<GradientTransformation> parts{
      scale_by_factored_rms({.factored = o.factored,
                             .decay_rate = o.decay_rate,
                             .step_offset = o.decay_offset,
                             .min_dim_size_to_factor = o.min_dim_size_to_factor,
                             .epsilon = o.eps})};
  if (o.clipping_threshold) parts.push_back(clip_by_block_rms(*o.clipping_threshold));
  // Descent all the same: the last part turns the sign again.
  if (rate) parts.insert(parts.end(), {scale_by_learning_rate(*rate), scale(-1)});
  if (o.multiply_by_parameter_scale) parts.push_back(scale_by_param_block_rms());
  if (o.momentum) parts.push_back(ema(*o.momentum, false));
  if (o.weight_decay_rate)
    parts.push_back(add_decayed_weights(*o.weight_decay_rate, std::move(o.weight_decay_mask)));
  parts.push_back(scale(-1));
  return chain(std::move(parts));
}

GradientTransformation muon(Rate rate, MuonAdamOptions o) {
  GradientTransformation matrices =
      chain(scale_by_muon(o.muon), add_decayed_weights(o.weight_decay, std::move(o.mask)),
            scale_by_learning_rate(rate));
  GradientTransformation others = adamw(o.adam_rate ? *o.adam_rate : rate, std::move(o.adam));
  return partition({{"muon", std::move(matrices)}, {"adam", std::move(others)}},
                   [](const Tensor& p) { return p.rank() == 2 ? "muon" : "adam"; });
}

}  // namespace linnet::optim
