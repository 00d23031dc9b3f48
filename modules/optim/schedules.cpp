#include <atomic>
#include <numbers>

#include "core/base/format.h"
#include "linnet/ops.h"
#include "linnet/optim.h"

namespace linnet::optim {
namespace {

Tensor as_float(const Tensor& step) { return astype(step, DType::kF32); }

void require_positive(const char* schedule, int64_t steps) {
  if (steps <= 0)
    fail<ValueError>("{}: expected a positive number of steps, got {}", schedule, steps);
}

}  // namespace

Schedule constant_schedule(double value) {
  return [value](const Tensor&) { return scalar(value, DType::kF32); };
}

Schedule polynomial_schedule(double init, double end, double power, int64_t steps, int64_t begin) {
  require_positive("polynomial_schedule", steps);
  return [=](const Tensor& step) {
    const Tensor t = as_float(clip(step - begin, 0, steps));
    const Tensor left = 1 - t / static_cast<double>(steps);
    return (init - end) * pow(left, power) + end;
  };
}

Schedule linear_schedule(double init, double end, int64_t steps, int64_t begin) {
  return polynomial_schedule(init, end, 1, steps, begin);
}

Schedule cosine_decay_schedule(double init, int64_t steps, double alpha, double exponent) {
  require_positive("cosine_decay_schedule", steps);
  return [=](const Tensor& step) {
    const Tensor t = minimum(as_float(step), static_cast<double>(steps));
    const Tensor cosine = 0.5 * (1 + cos(std::numbers::pi * t / static_cast<double>(steps)));
    return init * ((1 - alpha) * pow(cosine, exponent) + alpha);
  };
}

Schedule exponential_decay(double init, int64_t transition_steps, double rate, int64_t begin,
                           bool staircase, std::optional<double> end_value) {
  require_positive("exponential_decay", transition_steps);
  return [=](const Tensor& step) {
    const Tensor since = as_float(step - begin);
    Tensor p = since / static_cast<double>(transition_steps);
    if (staircase) p = floor(p);
    Tensor value = where(since <= 0, init, init * pow(scalar(rate, DType::kF32), p));
    if (end_value) value = rate < 1 ? maximum(value, *end_value) : minimum(value, *end_value);
    return value;
  };
}

Schedule piecewise_constant_schedule(double init, const std::map<int64_t, double>& scales) {
  return [=](const Tensor& step) {
    Tensor value = scalar(init, DType::kF32);
    for (const auto& [boundary, factor] : scales)
      value = value * where(step < boundary, 1.0, factor);
    return value;
  };
}

Schedule join_schedules(std::vector<Schedule> schedules, std::vector<int64_t> boundaries) {
  if (schedules.size() != boundaries.size() + 1) {
    fail<ValueError>("join_schedules: {} schedules need {} boundaries, got {}", schedules.size(),
                     schedules.size() - 1, boundaries.size());
  }
  return
      [schedules = std::move(schedules), boundaries = std::move(boundaries)](const Tensor& step) {
        Tensor value = schedules[0](step);
        for (size_t i = 0; i < boundaries.size(); ++i) {
          value = where(step < boundaries[i], value, schedules[i + 1](step - boundaries[i]));
        }
        return value;
      };
}

Schedule warmup_cosine_decay_schedule(double init, double peak, int64_t warmup_steps,
                                      int64_t decay_steps, double end, double exponent) {
  const double alpha = peak == 0 ? 0 : end / peak;
  return join_schedules({linear_schedule(init, peak, warmup_steps),
                         cosine_decay_schedule(peak, decay_steps - warmup_steps, alpha, exponent)},
                        {warmup_steps});
}

Rate::Rate(double value) : value_(value), text_(fmt::format("{}", value)) {}
Rate::Rate(Schedule schedule) : schedule_(std::move(schedule)) {
  static std::atomic<uint64_t> next{0};
  text_ = fmt::format("schedule{}", next.fetch_add(1));
}
Tensor Rate::at(const Tensor& step) const {
  return schedule_ ? schedule_(step) : scalar(value_, DType::kF32);
}

}  // namespace linnet::optim
