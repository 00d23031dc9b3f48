#include <algorithm>
#include <numbers>

#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim.h"

namespace linnet::optim {
namespace {

/// The steps since `begin`, exact also where the type of `step` could not hold them.
Tensor steps_since(const Tensor& step, int64_t begin) {
  const Tensor counted = is_floating(step.dtype()) ? step : astype(step, DType::kI64);
  return begin == 0 ? counted : counted - begin;
}

void require_positive(const char* schedule, const char* what, int64_t steps) {
  if (steps <= 0)
    fail<ValueError>("{}: expected a positive number of {}, got {}", schedule, what, steps);
}

}  // namespace

Schedule constant_schedule(double value) {
  return {[value](const Tensor&) { return scalar(value, DType::kF32); },
          fmt::format("constant_schedule({})", value)};
}

Schedule polynomial_schedule(double init, double end, double power, int64_t steps, int64_t begin) {
  if (steps <= 0) return constant_schedule(init);
  const int64_t from = std::max<int64_t>(begin, 0);
  const auto at = [=](const Tensor& step) {
    const Tensor t = astype(clip(steps_since(step, from), 0, steps), DType::kF32);
    const Tensor left = 1 - t / static_cast<double>(steps);
    return (init - end) * pow(left, power) + end;
  };
  return {at,
          fmt::format("polynomial_schedule({}, {}, {}, {}, {})", init, end, power, steps, from)};
}

Schedule linear_schedule(double init, double end, int64_t steps, int64_t begin) {
  return polynomial_schedule(init, end, 1, steps, begin);
}

namespace {

Schedule cosine_decay(double init, int64_t steps, double alpha, double exponent) {
  const auto at = [=](const Tensor& step) {
    const Tensor t = minimum(astype(step, DType::kF32), static_cast<double>(steps));
    const Tensor cosine = 0.5 * (1 + cos(std::numbers::pi * t / static_cast<double>(steps)));
    return init * ((1 - alpha) * pow(cosine, exponent) + alpha);
  };
  return {at, fmt::format("cosine_decay_schedule({}, {}, {}, {})", init, steps, alpha, exponent)};
}

}  // namespace

Schedule cosine_decay_schedule(double init, int64_t steps, double alpha, double exponent) {
  require_positive("cosine_decay_schedule", "steps", steps);
  return cosine_decay(init, steps, alpha, exponent);
}

Schedule exponential_decay(double init, int64_t transition_steps, double rate, int64_t begin,
                           bool staircase, std::optional<double> end_value) {
  if (transition_steps <= 0 || rate == 0) return constant_schedule(init);
  const int64_t from = std::max<int64_t>(begin, 0);
  const auto at = [=](const Tensor& step) {
    const Tensor since = astype(steps_since(step, from), DType::kF32);
    Tensor p = since / static_cast<double>(transition_steps);
    if (staircase) p = floor(p);
    Tensor value = where(since <= 0, init, init * pow(scalar(rate, DType::kF32), p));
    if (end_value) value = rate < 1 ? maximum(value, *end_value) : minimum(value, *end_value);
    return value;
  };
  return {at, fmt::format("exponential_decay({}, {}, {}, {}, {}, {})", init, transition_steps, rate,
                          from, staircase, end_value ? fmt::format("{}", *end_value) : "none")};
}

Schedule piecewise_constant_schedule(double init, const std::map<int64_t, double>& scales) {
  for (const auto& [boundary, factor] : scales) {
    if (factor < 0) {
      fail<ValueError>("piecewise_constant_schedule: expected scales of at least 0, got {} at {}",
                       factor, boundary);
    }
  }
  const auto at = [=](const Tensor& step) {
    Tensor value = scalar(init, DType::kF32);
    for (const auto& [boundary, factor] : scales)
      value = value * where(step < boundary, 1.0, factor);
    return value;
  };
  std::string text = fmt::format("piecewise_constant_schedule({}", init);
  for (const auto& [boundary, factor] : scales) text += fmt::format(", {}: {}", boundary, factor);
  return {at, text + ")"};
}

Schedule join_schedules(std::vector<Schedule> schedules, std::vector<int64_t> boundaries) {
  if (schedules.size() != boundaries.size() + 1) {
    fail<ValueError>("join_schedules: {} schedules need {} boundaries, got {}", schedules.size(),
                     schedules.size() - 1, boundaries.size());
  }
  std::string text = fmt::format("join_schedules([{}]", fmt::join(boundaries, ", "));
  for (const Schedule& schedule : schedules) text += ", " + schedule.text();
  const auto at = [schedules = std::move(schedules),
                   boundaries = std::move(boundaries)](const Tensor& step) {
    Tensor value = schedules[0](step);
    for (size_t i = 0; i < boundaries.size(); ++i) {
      value =
          where(step < boundaries[i], value, schedules[i + 1](steps_since(step, boundaries[i])));
    }
    return value;
  };
  return {at, text + ")"};
}

Schedule warmup_cosine_decay_schedule(double init, double peak, int64_t warmup_steps,
                                      int64_t decay_steps, double end, double exponent) {
  if (decay_steps <= warmup_steps) {
    fail<ValueError>(
        "warmup_cosine_decay_schedule: expected more decay steps than warm-up steps, which they "
        "include, got {} and {}",
        decay_steps, warmup_steps);
  }
  const double alpha = peak == 0 ? 0 : end / peak;
  return join_schedules({linear_schedule(init, peak, warmup_steps),
                         cosine_decay(peak, decay_steps - warmup_steps, alpha, exponent)},
                        {warmup_steps});
}

Rate::Rate(double value) : value_(value), text_(fmt::format("{}", value)) {}
Rate::Rate(Schedule schedule) : text_(schedule.text()) { schedule_ = std::move(schedule); }
Tensor Rate::at(const Tensor& step) const {
  return schedule_ ? (*schedule_)(step) : scalar(value_, DType::kF32);
}

}  // namespace linnet::optim
