#include "chart_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "linnet/report/svg_chart.h"

namespace linnet {
namespace chart {

namespace {

// Keeps differences of two values of opposite sign finite.
constexpr double kLargest = std::numeric_limits<double>::max() / 8;

}  // namespace

void RangeFinder::add(double value) {
  if (!std::isfinite(value)) return;
  value = std::clamp(value, -kLargest, kLargest);
  low_ = is_empty_ ? value : std::min(low_, value);
  high_ = is_empty_ ? value : std::max(high_, value);
  is_empty_ = false;
}

Range RangeFinder::range(double margin) const {
  if (is_empty_) return {0.0, 1.0};
  const double magnitude = std::max(std::abs(low_), std::abs(high_));
  // Below this width the ticks would differ by a few rounding errors only.
  const double least = std::max(magnitude * 1e-9, 1e-290);
  if (high_ - low_ < least) {
    const double half = magnitude > 1e-280 ? magnitude * 0.05 : 0.5;
    return {low_ - half, high_ + half};
  }
  const double extra = (high_ - low_) * margin;
  return {low_ - extra, high_ + extra};
}

double Scale::operator()(double value) const {
  const double share = std::clamp((value - range_.low) / (range_.high - range_.low), -2.0, 3.0);
  return first_ + share * (last_ - first_);
}

std::string tick_label(double value, double step) {
  if (value == 0.0) return "0";
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
  const int step_exponent = static_cast<int>(std::floor(std::log10(step) + 1e-9));
  if (exponent >= 6 || exponent <= -5) {
    return fmt::format("{:.{}e}", value, std::clamp(exponent - step_exponent, 0, 12));
  }
  return fmt::format("{:.{}f}", value, std::clamp(-step_exponent, 0, 12));
}

}  // namespace chart

std::vector<double> nice_ticks(double low, double high, int count) {
  const double raw = (high - low) / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = power * 10;
  for (double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= raw * (1 - 1e-9)) {
      step = power * factor;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9);
  const double last = std::floor(high / step + 1e-9);
  // Counting multiples avoids accumulated rounding; adding zero turns -0 into 0.
  for (double i = first; i <= last && ticks.size() < 1000; ++i) ticks.push_back(i * step + 0.0);
  return ticks;
}

}  // namespace linnet
