// Relatives of Adam: every parameter element by element.
#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim/transforms.h"
#include "modules/optim/transform.h"

namespace linnet::optim {
namespace {

/// The running mean with one more value.
Tensor blend(double decay, const Tensor& mean, const Tensor& value) {
  return (1 - decay) * value + decay * mean;
}

/// A running mean that began with zeros, with its bias corrected.
Tensor corrected(double decay, const Tensor& mean, const Tensor& step) {
  return mean / astype(bias_correction(decay, step), mean.dtype());
}

/// The corrected first moment, by Nesterov one step ahead.
Tensor corrected_momentum(double b1, bool nesterov, const Tensor& mean, const Tensor& gradient,
                          const Tensor& step) {
  if (!nesterov) return corrected(b1, mean, step);
  return b1 * corrected(b1, mean, next_count(step)) + (1 - b1) * corrected(b1, gradient, step);
}

}  // namespace

GradientTransformation scale_by_amsgrad(AdamOptions o) {
  return leafwise(fmt::format("scale_by_amsgrad({}, {}, {}, {})", o.b1, o.b2, o.eps, o.eps_root),
                  {{"mu"}, {"nu"}, {"nu_max"}}, [o](Leaf& x, const Tensor& step) {
                    x.state[0] = blend(o.b1, x.state[0], x.gradient);
                    x.state[1] = blend(o.b2, x.state[1], abs_squared(x.gradient));
                    x.state[2] = maximum(x.state[2], corrected(o.b2, x.state[1], step));
                    return corrected_momentum(o.b1, o.nesterov, x.state[0], x.gradient, step) /
                           (sqrt(x.state[2] + o.eps_root) + o.eps);
                  });
}

GradientTransformation scale_by_adamax(double b1, double b2, double eps) {
  return leafwise(fmt::format("scale_by_adamax({}, {}, {})", b1, b2, eps), {{"mu"}, {"nu"}},
                  [=](Leaf& x, const Tensor& step) {
                    x.state[0] = blend(b1, x.state[0], x.gradient);
                    x.state[1] = maximum(abs(x.gradient) + eps, b2 * x.state[1]);
                    return corrected(b1, x.state[0], step) / x.state[1];
                  });
}

GradientTransformation scale_by_belief(BeliefOptions o) {
  return leafwise(
      fmt::format("scale_by_belief({}, {}, {}, {}, {})", o.b1, o.b2, o.eps, o.eps_root, o.nesterov),
      {{"mu"}, {"nu"}}, [o](Leaf& x, const Tensor& step) {
        x.state[0] = blend(o.b1, x.state[0], x.gradient);
        const Tensor error = x.gradient - x.state[0];
        x.state[1] = blend(o.b2, x.state[1], abs_squared(error)) + o.eps_root;
        return corrected_momentum(o.b1, o.nesterov, x.state[0], x.gradient, step) /
               (sqrt(corrected(o.b2, x.state[1], step)) + o.eps);
      });
}

GradientTransformation scale_by_yogi(YogiOptions o) {
  return leafwise(fmt::format("scale_by_yogi({}, {}, {}, {}, {})", o.b1, o.b2, o.eps, o.eps_root,
                              o.initial_accumulator),
                  {{"mu", o.initial_accumulator}, {"nu", o.initial_accumulator}},
                  [o](Leaf& x, const Tensor& step) {
                    const Tensor squares = abs_squared(x.gradient);
                    x.state[0] = blend(o.b1, x.state[0], x.gradient);
                    x.state[1] = x.state[1] - (1 - o.b2) * sign(x.state[1] - squares) * squares;
                    return corrected(o.b1, x.state[0], step) /
                           (sqrt(corrected(o.b2, x.state[1], step) + o.eps_root) + o.eps);
                  });
}

GradientTransformation scale_by_radam(RAdamOptions o) {
  const double longest = 2 / (1 - o.b2) - 1;
  return leafwise(
      fmt::format("scale_by_radam({}, {}, {}, {}, {}, {})", o.b1, o.b2, o.eps, o.eps_root,
                  o.threshold, o.nesterov),
      {{"mu"}, {"nu"}}, [=](Leaf& x, const Tensor& step) {
        x.state[0] = blend(o.b1, x.state[0], x.gradient);
        x.state[1] = blend(o.b2, x.state[1], abs_squared(x.gradient));
        const Tensor t = astype(step, DType::kF32);
        const Tensor decayed = pow(scalar(o.b2, DType::kF32), t);
        // The length of the simple mean that v is about as good as.
        const Tensor length = longest - 2 * t * decayed / (1 - decayed);
        const Tensor long_enough = length >= o.threshold;
        const Tensor safe = where(long_enough, length, longest);
        const Tensor ratio =
            (safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe);
        const Tensor mean = corrected_momentum(o.b1, o.nesterov, x.state[0], x.gradient, step);
        const Tensor rectified = astype(sqrt(ratio), mean.dtype()) * mean /
                                 (sqrt(corrected(o.b2, x.state[1], step) + o.eps_root) + o.eps);
        return where(long_enough, rectified, mean);
      });
}

GradientTransformation scale_by_adadelta(double rho, double eps) {
  return leafwise(fmt::format("scale_by_adadelta({}, {})", rho, eps),
                  {{"squared_gradients"}, {"squared_updates"}}, [=](Leaf& x, const Tensor&) {
                    x.state[0] = blend(rho, x.state[0], square(x.gradient));
                    const Tensor update =
                        sqrt(x.state[1] + eps) / sqrt(x.state[0] + eps) * x.gradient;
                    x.state[1] = blend(rho, x.state[1], square(update));
                    return update;
                  });
}

GradientTransformation scale_by_adan(AdanOptions o) {
  return leafwise(
      fmt::format("scale_by_adan({}, {}, {}, {}, {})", o.b1, o.b2, o.b3, o.eps, o.eps_root),
      {{"m"}, {"v"}, {"n"}, {"gradient"}}, [o](Leaf& x, const Tensor& step) {
        const Tensor change = where(equal(step, 1), 0.0, x.gradient - x.state[3]);
        x.state[0] = blend(o.b1, x.state[0], x.gradient);
        x.state[1] = blend(o.b2, x.state[1], change);
        x.state[2] = blend(o.b3, x.state[2], abs_squared(x.gradient + (1 - o.b2) * change));
        x.state[3] = x.gradient;
        const Tensor ahead =
            corrected(o.b1, x.state[0], step) + (1 - o.b2) * corrected(o.b2, x.state[1], step);
        return ahead / (sqrt(corrected(o.b3, x.state[2], step) + o.eps_root) + o.eps);
      });
}

GradientTransformation scale_by_rprop(double initial_step_size, RpropOptions o) {
  return leafwise(fmt::format("scale_by_rprop({}, {}, {}, {}, {})", initial_step_size, o.eta_minus,
                              o.eta_plus, o.min_step_size, o.max_step_size),
                  {{"step_size", initial_step_size}, {"previous"}}, [o](Leaf& x, const Tensor&) {
                    const Tensor agreement = x.gradient * x.state[1];
                    const Tensor grown = x.state[0] * where(agreement > 0, o.eta_plus, o.eta_minus);
                    x.state[0] = where(equal(agreement, 0), x.state[0],
                                       linnet::clip(grown, o.min_step_size, o.max_step_size));
                    // As in optax, a step is made one call after its gradient was seen.
                    const Tensor update = where(agreement < 0, 0.0, x.state[1]);
                    x.state[1] = where(agreement < 0, 0.0, x.state[0] * sign(x.gradient));
                    return update;
                  });
}

namespace {

/// g over the root of `second`.
Tensor by_root(const RmsOptions& o, const Tensor& gradient, const Tensor& second) {
  return o.eps_in_sqrt ? gradient * rsqrt(second + o.eps) : gradient / (sqrt(second) + o.eps);
}

std::string text_of(const char* name, const RmsOptions& o) {
  return fmt::format("{}({}, {}, {}, {}, {})", name, o.decay, o.eps, o.initial_scale, o.eps_in_sqrt,
                     o.bias_correction);
}

}  // namespace

GradientTransformation scale_by_rms(RmsOptions o) {
  return leafwise(
      text_of("scale_by_rms", o), {{"nu", o.initial_scale}}, [o](Leaf& x, const Tensor& step) {
        x.state[0] = blend(o.decay, x.state[0], abs_squared(x.gradient));
        return by_root(o, x.gradient,
                       o.bias_correction ? corrected(o.decay, x.state[0], step) : x.state[0]);
      });
}

GradientTransformation scale_by_stddev(RmsOptions o) {
  return leafwise(text_of("scale_by_stddev", o), {{"mu"}, {"nu", o.initial_scale}},
                  [o](Leaf& x, const Tensor& step) {
                    x.state[0] = blend(o.decay, x.state[0], x.gradient);
                    x.state[1] = blend(o.decay, x.state[1], abs_squared(x.gradient));
                    const auto mean = [&](const Tensor& running) {
                      return o.bias_correction ? corrected(o.decay, running, step) : running;
                    };
                    return by_root(o, x.gradient, mean(x.state[1]) - abs_squared(mean(x.state[0])));
                  });
}

GradientTransformation ema(double decay, bool debias) {
  return leafwise(fmt::format("ema({}, {})", decay, debias), {{"ema"}},
                  [=](Leaf& x, const Tensor& step) {
                    x.state[0] = blend(decay, x.state[0], x.gradient);
                    return debias ? corrected(decay, x.state[0], step) : x.state[0];
                  });
}

GradientTransformation add_noise(double eta, double gamma, const Key& key) {
  GradientTransformation out;
  out.init_list = [key](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    state.lists["key"] = {number_beside(params, key.data())};
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    advance(state);
    const Tensor t = astype(count_of(state), DType::kF32);
    const Tensor deviation = sqrt(eta / pow(t, gamma));
    Tensor& own = list_of(state, "key").at(0);
    const Key next = random::split(Key(own));
    own = next[0].data();
    const Key keys = random::split(next[1], static_cast<int64_t>(grads.size()));
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor noise =
          random::normal(keys[static_cast<int64_t>(i)], gradient.shape(), gradient.dtype());
      const Tensor g = wide(gradient);
      return g + astype(deviation, g.dtype()) * wide(noise);
    });
  };
  return out;
}

}  // namespace linnet::optim
