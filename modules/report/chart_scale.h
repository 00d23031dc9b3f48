// Axes of charts: range, round tick values and their labels. Private.
#pragma once

#include <string>
#include <vector>

namespace linnet::chart {

/// Closed range of an axis; `low < high`, both finite.
struct Range {
  double low = 0.0;
  double high = 1.0;
};

/// The smallest range around all values, widened if it is a single point and by a small margin on
/// request. Values that are not finite count as absent; without any value the range is [0, 1].
class RangeFinder {
 public:
  void add(double value);
  bool is_empty() const { return is_empty_; }
  Range range(double margin) const;

 private:
  bool is_empty_ = true;
  double low_ = 0.0;
  double high_ = 0.0;
};

/// Maps values to pixels.
class Scale {
 public:
  Scale(Range range, double first_pixel, double last_pixel)
      : range_(range), first_(first_pixel), last_(last_pixel) {}
  /// Values far outside the range are moved to a nearby place outside, so that coordinates stay
  /// finite.
  double operator()(double value) const;
  const Range& range() const { return range_; }

 private:
  Range range_;
  double first_;
  double last_;
};

/// Labels of ticks `step` apart, with as many digits as tell them apart.
std::string tick_label(double value, double step);

}  // namespace linnet::chart
