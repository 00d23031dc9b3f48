// Schedules between given points, and after each other.
#include <algorithm>
#include <numbers>

#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim/schedules.h"

namespace linnet::optim {
namespace {

Tensor between(Interpolation interpolation, double from, double to, const Tensor& share) {
  if (interpolation == Interpolation::kLinear) return (to - from) * share + from;
  return to + (from - to) / 2 * (cos(std::numbers::pi * share) + 1);
}

struct Point {
  int64_t step;
  double value;
};

}  // namespace

Schedule piecewise_interpolate_schedule(Interpolation interpolation, double init,
                                        const std::map<int64_t, double>& scales) {
  std::vector<Point> points{{0, init}};
  std::string text =
      fmt::format("piecewise_interpolate_schedule({}, {}", static_cast<int>(interpolation), init);
  for (const auto& [boundary, factor] : scales) {
    if (factor < 0) {
      fail<ValueError>(
          "piecewise_interpolate_schedule: expected scales of at least 0, got {} at {}", factor,
          boundary);
    }
    points.push_back({boundary, points.back().value * factor});
    text += fmt::format(", {}: {}", boundary, factor);
  }
  const auto at = [=](const Tensor& step) {
    const Tensor counted = is_floating(step.dtype()) ? step : astype(step, DType::kI64);
    Tensor value = scalar(points.back().value, DType::kF32);
    // From the last interval to the first; before step 0 there is nothing, as in optax.
    for (size_t i = points.size() - 1; i-- > 0;) {
      const auto [from, left] = points[i];
      const auto [to, right] = points[i + 1];
      const double length = static_cast<double>(std::max<int64_t>(to - from, 1));
      const Tensor share = astype(counted - from, DType::kF32) / length;
      value = where(counted < to, between(interpolation, left, right, share), value);
    }
    return where(counted < 0, 0.0, value);
  };
  return {at, text + ")"};
}

Schedule warmup_constant_schedule(double init, double peak, int64_t warmup_steps) {
  return linear_schedule(init, peak, warmup_steps);
}

Schedule warmup_exponential_decay_schedule(double init, double peak,
                                           const WarmupExponentialOptions& o) {
  return join_schedules({linear_schedule(init, peak, o.warmup_steps),
                         exponential_decay(peak, o.transition_steps, o.decay_rate,
                                           o.transition_begin, o.staircase, o.end_value)},
                        {o.warmup_steps});
}

namespace {

int64_t share_of(double share, int64_t steps) {
  return static_cast<int64_t>(share * static_cast<double>(steps));
}

void require_steps(const char* name, int64_t steps) {
  if (steps <= 0) fail<ValueError>("{}: expected a positive number of steps, got {}", name, steps);
}

}  // namespace

Schedule cosine_onecycle_schedule(int64_t steps, double peak, const OneCycleOptions& o) {
  require_steps("cosine_onecycle_schedule", steps);
  return piecewise_interpolate_schedule(Interpolation::kCosine, peak / o.div_factor,
                                        {{share_of(o.rising, steps), o.div_factor},
                                         {steps, 1 / (o.div_factor * o.final_div_factor)}});
}

Schedule linear_onecycle_schedule(int64_t steps, double peak, const OneCycleOptions& o) {
  require_steps("linear_onecycle_schedule", steps);
  return piecewise_interpolate_schedule(Interpolation::kLinear, peak / o.div_factor,
                                        {{share_of(o.rising, steps), o.div_factor},
                                         {share_of(o.falling_until, steps), 1 / o.div_factor},
                                         {steps, 1 / o.final_div_factor}});
}

Schedule sgdr_schedule(const std::vector<WarmupCosine>& cycles) {
  std::vector<Schedule> schedules;
  std::vector<int64_t> boundaries;
  int64_t step = 0;
  for (const WarmupCosine& c : cycles) {
    if (!schedules.empty()) boundaries.push_back(step);
    schedules.push_back(warmup_cosine_decay_schedule(c.init, c.peak, c.warmup_steps, c.decay_steps,
                                                     c.end, c.exponent));
    step += c.decay_steps;
  }
  return join_schedules(std::move(schedules), std::move(boundaries));
}

}  // namespace linnet::optim
