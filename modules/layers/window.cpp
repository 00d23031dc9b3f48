#include "linnet/layers/window.h"

#include <algorithm>
#include <limits>

#include "linnet/detail/format.h"

namespace linnet::layers {
namespace {

/// Of windows, strides, dilations and paddings: so that the product of two, and sums of those with
/// sizes, are no larger than an int64 holds.
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

}  // namespace

Shape PerDimension::expanded(size_t count, const char* operation, const char* what) const {
  Shape out = every_ ? Shape(count, values_[0]) : values_;
  if (out.size() != count) {
    fail<ValueError>("{}: expected {} {}, one per spatial dimension, got {}", operation, count,
                     what, to_string(values_));
  }
  for (int64_t value : out) {
    if (value < 1 || value > kLargest) {
      fail<ValueError>("{}: expected positive {} below 2^31, got {}", operation, what,
                       to_string(values_));
    }
  }
  return out;
}

std::string PerDimension::text() const {
  return every_ ? fmt::format("{}", values_[0]) : to_string(values_);
}

Padding::Padding(std::string rule) : rule_(std::move(rule)) {
  for (const char* known : {"SAME", "VALID", "SAME_LOWER", "CIRCULAR", "REFLECT", "CAUSAL"}) {
    if (rule_ == known) return;
  }
  fail<ValueError>("padding: expected SAME, VALID, CIRCULAR, REFLECT, CAUSAL or numbers, got '{}'",
                   rule_);
}

std::vector<std::pair<int64_t, int64_t>> Padding::edges(size_t count, const char* operation) const {
  const size_t given = every_ ? count : low_.size();
  if (!rule_.empty() || given != count) {
    fail<ValueError>("{}: expected padding for {} spatial dimensions, got {}", operation, count,
                     rule_.empty() ? fmt::format("{}", given) : rule_);
  }
  std::vector<std::pair<int64_t, int64_t>> out;
  for (size_t i = 0; i < count; ++i) {
    const int64_t low = low_[every_ ? 0 : i], high = high_[every_ ? 0 : i];
    if (std::min(low, high) < -kLargest || std::max(low, high) > kLargest) {
      fail<ValueError>("{}: expected paddings between -2^31 and 2^31, got {}", operation, text());
    }
    out.emplace_back(low, high);
  }
  return out;
}

std::string Padding::text() const {
  if (!rule_.empty()) return "'" + rule_ + "'";
  std::string out;
  for (size_t i = 0; i < low_.size(); ++i) {
    out += fmt::format("{}({},{})", i ? "," : "", low_[i], high_[i]);
  }
  return every_ ? out : "[" + out + "]";
}

}  // namespace linnet::layers
