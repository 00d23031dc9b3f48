// Positions of a sliding window and the operand elements under it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kernels/cpu/reference/window.h"

namespace linnet::cpu {

/// Walks the windows of a geometry. Trailing dimensions that are not pooled (window and step 1, no
/// padding) form the inner run, which callers loop over themselves: channels, for channels-last
/// tensors.
class WindowWalk {
 public:
  WindowWalk(const WindowGeometry& geometry, std::span<const int64_t> strides)
      : g_(geometry),
        strides_(strides),
        dense_(dense_strides(geometry.shape)),
        out_(geometry.out_shape()) {
    outer_rank_ = g_.shape.size();
    // Only as far as the run has one stride.
    while (outer_rank_ > 0 && is_plain(outer_rank_ - 1) && extends_run(outer_rank_ - 1)) {
      --outer_rank_;
      if (inner_ == 1 || g_.shape[outer_rank_] == 1)
        inner_stride_ = inner_ == 1 ? strides_[outer_rank_] : inner_stride_;
      inner_ *= g_.shape[outer_rank_];
    }
    for (size_t i = 0; i < outer_rank_; ++i) positions_ *= out_[i];
    if (inner_ == 0) positions_ = 0;
    while (leading_ < outer_rank_ && is_plain(leading_)) parts_ *= g_.shape[leading_++];
  }

  int64_t inner() const { return inner_; }
  int64_t inner_stride() const { return inner_stride_; }
  /// Windows, not counting the inner run.
  int64_t positions() const { return positions_; }
  /// Parts of the positions whose windows do not touch each other's elements.
  int64_t independent_parts() const { return dense_elements() == 0 ? 0 : parts_; }
  int64_t dense_elements() const { return element_count(g_.shape); }
  int64_t grain() const {
    const int64_t work = std::max<int64_t>(1, element_count(g_.window) * inner_);
    return std::max<int64_t>(1, 16384 / work);
  }

  /// Calls f(offset in the operand, offset in a dense tensor of its shape) for every element under
  /// the window at `position`, in row-major order.
  template <class F>
  void visit(int64_t position, F&& f) const {
    Shape start(outer_rank_, 0);
    for (size_t i = outer_rank_; i-- > 0;) {
      start[i] = position % out_[i] * g_.stride[i] - g_.pad_low[i];
      position /= out_[i];
    }
    visit_dimension(0, start, 0, 0, f);
  }

 private:
  bool is_plain(size_t i) const {
    return g_.window[i] == 1 && g_.stride[i] == 1 && g_.pad_low[i] == 0 && g_.pad_high[i] == 0 &&
           g_.base_dilation[i] == 1;
  }
  bool extends_run(size_t i) const {
    return inner_ == 1 || g_.shape[i] == 1 || strides_[i] == inner_ * inner_stride_;
  }

  template <class F>
  void visit_dimension(size_t i, const Shape& start, int64_t offset, int64_t dense_offset,
                       F&& f) const {
    if (i == outer_rank_) {
      f(offset, dense_offset);
      return;
    }
    for (int64_t tap = 0; tap < g_.window[i]; ++tap) {
      const int64_t dilated = start[i] + tap * g_.window_dilation[i];
      if (dilated < 0 || dilated % g_.base_dilation[i] != 0) continue;
      const int64_t at = dilated / g_.base_dilation[i];
      if (at >= g_.shape[i]) continue;
      visit_dimension(i + 1, start, offset + at * strides_[i], dense_offset + at * dense_[i], f);
    }
  }

  const WindowGeometry& g_;
  std::span<const int64_t> strides_;
  Strides dense_;
  Shape out_;
  size_t outer_rank_ = 0, leading_ = 0;
  int64_t inner_ = 1, inner_stride_ = 1, positions_ = 1, parts_ = 1;
};

}  // namespace linnet::cpu
