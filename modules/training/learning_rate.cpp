#include "linnet/training/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim/wrappers.h"

namespace linnet::training {
namespace {

constexpr const char* kName = "learning_rate";

void check(const RateFinderOptions& o) {
  if (!(o.lowest > 0) || !(o.highest > o.lowest))
    fail<ValueError>("find_learning_rate: rates from {} to {}", o.lowest, o.highest);
  if (o.steps < 2) fail<ValueError>("find_learning_rate: expected two steps, got {}", o.steps);
  if (!(o.smoothing >= 0) || !(o.smoothing < 1))
    fail<ValueError>("find_learning_rate: expected a smoothing in [0, 1), got {}", o.smoothing);
}

// Central differences, one-sided at the ends, as numpy.gradient.
double slope_at(const std::vector<double>& y, size_t i) {
  const size_t before = i == 0 ? 0 : i - 1, after = std::min(i + 1, y.size() - 1);
  return (y[after] - y[before]) / static_cast<double>(after - before);
}

std::optional<double> steepest(const RateCurve& curve, const RateFinderOptions& o) {
  const auto begin = static_cast<size_t>(std::max<int64_t>(o.skip_begin, 0));
  const auto skipped = static_cast<size_t>(std::max<int64_t>(o.skip_end, 0));
  if (curve.losses.size() < begin + skipped + 2) return std::nullopt;
  const std::vector<double> losses(curve.losses.begin() + static_cast<ptrdiff_t>(begin),
                                   curve.losses.end() - static_cast<ptrdiff_t>(skipped));
  size_t best = 0;
  for (size_t i = 1; i < losses.size(); ++i)
    if (slope_at(losses, i) < slope_at(losses, best)) best = i;
  return curve.rates[begin + best];
}

}  // namespace

double learning_rate(const optim::Optimizer& optimizer) {
  optim::TransformState state = optimizer.state();
  return optim::hyperparameter(state, kName).item<double>();
}

void set_learning_rate(optim::Optimizer& optimizer, double rate) {
  optim::TransformState state = optimizer.state();
  Tensor& kept = optim::hyperparameter(state, kName);
  kept = astype(Tensor(rate), kept.dtype()).to(kept.device());
  optimizer.set_state(state);
}

RateCurve find_learning_rate(const std::function<double(double)>& step,
                             const RateFinderOptions& options) {
  check(options);
  RateCurve curve;
  const double growth = std::log(options.highest / options.lowest);
  double mean = 0, best = std::numeric_limits<double>::infinity(), weight = 1;
  for (int64_t i = 0; i < options.steps; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(options.steps - 1);
    const double rate = options.lowest * std::exp(growth * share);
    const double loss = step(rate);
    if (!std::isfinite(loss)) break;
    mean = options.smoothing * mean + (1 - options.smoothing) * loss;
    weight *= options.smoothing;
    const double corrected = mean / (1 - weight);
    curve.rates.push_back(rate);
    curve.losses.push_back(corrected);
    best = std::min(best, corrected);
    if (i > 0 && corrected > options.diverged * best) break;
  }
  curve.suggested = steepest(curve, options);
  return curve;
}

}  // namespace linnet::training
