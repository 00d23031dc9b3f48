// Cumulative sums, products, extremes and log-sum-exps along an axis.
//
//   int32_t x[] = {1, 2, 3}, y[3];
//   cpu::scan(ScanKind::kSum, DType::kI32, x, Shape{3}, Strides{1}, 0, false, y);  // 1, 3, 6
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/reduce/axis_lines.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

enum class ScanKind : uint8_t { kSum, kProd, kMax, kMin, kLogSumExp };

/// out[..., i, ...] combines elements 0..i of the axis (i..n-1 when `reverse`). The result is dense
/// and has the shape and element type of the operand. Sums and products of floats are carried in
/// double and rounded at every element; integers wrap; NaN stays once met. Elements are combined
/// one after the other, but for sums of adjacent f32 (scan_f32.h), whose order the length decides.
class PlannedScan {
 public:
  /// @throws DTypeError for a log-sum-exp of integers.
  PlannedScan(ScanKind kind, DType dtype, std::span<const int64_t> shape,
              std::span<const int64_t> strides, int64_t axis, bool reverse);
  void run(const void* data, void* out) const { run_(lines_, reverse_, data, out); }

  using Run = void (*)(const AxisLines& lines, bool reverse, const void* data, void* out);

 private:
  AxisLines lines_;
  bool reverse_;
  Run run_ = nullptr;
};

/// The same, once.
inline void scan(ScanKind kind, DType dtype, const void* data, std::span<const int64_t> shape,
                 std::span<const int64_t> strides, int64_t axis, bool reverse, void* out) {
  PlannedScan(kind, dtype, shape, strides, axis, reverse).run(data, out);
}

}  // namespace linnet::cpu
