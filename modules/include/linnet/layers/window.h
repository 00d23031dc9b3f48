// Sizes and paddings of convolutions and pooling, as both module APIs take them.
//
//   linen::Conv{.features = 32, .kernel = {3, 3}, .strides = 2, .padding = "SAME"}
//   max_pool(x, {2, 2}, {2, 2}, Padding{{1, 1}, 0})      // first dimension 1 and 1, second none
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "linnet/fields.h"
#include "linnet/shape.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// One number per spatial dimension, or one number for all of them.
class PerDimension {
 public:
  template <std::integral T>
  PerDimension(T every)
      : values_{static_cast<int64_t>(every)}, every_(true) {}  // NOLINT(runtime/explicit)
  PerDimension(std::initializer_list<int64_t> values) : values_(values) {}
  PerDimension(const Shape& values) : values_(values) {}  // NOLINT(runtime/explicit)

  /// The numbers as given; a single number is a list of one.
  const Shape& values() const { return values_; }
  /// `count` numbers, all positive.
  /// @throws ValueError naming `operation` and `what` if their number differs or one is not
  /// positive.
  Shape expanded(size_t count, const char* operation, const char* what) const;
  /// `2` or `[2,3]`.
  std::string text() const;
  bool operator==(const PerDimension&) const = default;

  LINNET_FIELDS(values_, every_)

 private:
  Shape values_;
  bool every_ = false;
};

/// How the edges of the spatial dimensions are extended: by a rule ("SAME", "VALID", and for
/// convolutions "CIRCULAR", "REFLECT", "CAUSAL"), or by numbers of zeros.
class Padding {
 public:
  /// Zeros before and after one dimension; one number means both.
  struct Edges {
    template <std::integral T>
    Edges(T both) : low(static_cast<int64_t>(both)), high(low) {}  // NOLINT(runtime/explicit)
    Edges(int64_t low, int64_t high) : low(low), high(high) {}
    int64_t low, high;
  };

  Padding(const char* rule) : Padding(std::string(rule)) {}  // NOLINT(runtime/explicit)
  /// @throws ValueError for a rule that is none of those above.
  Padding(std::string rule);  // NOLINT(runtime/explicit)
  /// The same on both sides of every dimension.
  template <std::integral T>
  Padding(T both)
      : low_{static_cast<int64_t>(both)}, high_{low_}, every_(true) {}  // NOLINT(runtime/explicit)
  Padding(std::initializer_list<Edges> edges) {
    for (const Edges& edge : edges) add(edge);
  }
  Padding(const std::vector<std::pair<int64_t, int64_t>>& edges) {  // NOLINT(runtime/explicit)
    for (const auto& [low, high] : edges) add({low, high});
  }

  /// Empty if the padding is given by numbers.
  const std::string& rule() const { return rule_; }
  /// Low and high of each of `count` dimensions; only for paddings given by numbers.
  /// @throws ValueError naming `operation` if there are not `count`.
  std::vector<std::pair<int64_t, int64_t>> edges(size_t count, const char* operation) const;
  /// `'SAME'` or `[(1,1),(0,2)]`.
  std::string text() const;
  bool operator==(const Padding&) const = default;

  LINNET_FIELDS(rule_, low_, high_, every_)

 private:
  void add(const Edges& edge) {
    low_.push_back(edge.low);
    high_.push_back(edge.high);
  }
  std::string rule_;
  Shape low_, high_;
  bool every_ = false;
};

}  // namespace linnet::layers

#pragma GCC visibility pop
