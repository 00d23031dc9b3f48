// Schedules beyond those of optim.h, named and behaving as in optax.
//
//   auto rate = optim::cosine_onecycle_schedule(10000, 3e-3);
//   optim::Optimizer optimizer(model, optim::sgd(rate, 0.9));
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

enum class Interpolation : uint8_t { kLinear, kCosine };
/// Between the values that the scales give at the boundaries, which multiply cumulatively (J-132).
/// @throws ValueError for negative scales.
Schedule piecewise_interpolate_schedule(Interpolation interpolation, double init,
                                        const std::map<int64_t, double>& scales);
/// Linear from `init` to `peak`, which it keeps (J-133).
Schedule warmup_constant_schedule(double init, double peak, int64_t warmup_steps);
struct WarmupExponentialOptions {
  int64_t warmup_steps = 0;
  int64_t transition_steps = 1;  ///< of the decay, which begins behind the warm-up
  double decay_rate = 1;
  int64_t transition_begin = 0;
  bool staircase = false;
  std::optional<double> end_value = {};
};
Schedule warmup_exponential_decay_schedule(double init, double peak,
                                           const WarmupExponentialOptions& options);

struct OneCycleOptions {
  double rising = 0.3;            ///< share of the steps until the peak
  double falling_until = 0.85;    ///< of the linear form: where the first value is reached again
  double div_factor = 25;         ///< peak over the first value
  double final_div_factor = 1e4;  ///< first value over the last
};
/// Up to the peak and down again (Smith and Topin 2019; J-135).
/// @throws ValueError unless there are steps.
Schedule cosine_onecycle_schedule(int64_t steps, double peak, const OneCycleOptions& options = {});
Schedule linear_onecycle_schedule(int64_t steps, double peak, const OneCycleOptions& options = {});

struct WarmupCosine {
  double init = 0, peak = 1;
  int64_t warmup_steps = 0, decay_steps = 1;  ///< the decay includes the warm-up
  double end = 0, exponent = 1;
};
/// One `warmup_cosine_decay_schedule` after the other (Loshchilov and Hutter 2017; J-135).
Schedule sgdr_schedule(const std::vector<WarmupCosine>& cycles);

}  // namespace linnet::optim

#pragma GCC visibility pop
