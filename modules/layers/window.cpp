#include "linnet/layers/window.h"

#include "core/base/format.h"

namespace linnet::layers {

Shape PerDimension::expanded(size_t count, const char* operation, const char* what) const {
  Shape out = every_ ? Shape(count, values_[0]) : values_;
  if (out.size() != count) {
    fail<ValueError>("{}: expected {} {}, one per spatial dimension, got {}", operation, count,
                     what, to_string(values_));
  }
  for (int64_t value : out) {
    if (value < 1)
      fail<ValueError>("{}: expected positive {}, got {}", operation, what, to_string(values_));
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
  for (size_t i = 0; i < count; ++i) out.emplace_back(low_[every_ ? 0 : i], high_[every_ ? 0 : i]);
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
