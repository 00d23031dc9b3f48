// Private: counts that metrics keep, and checks of what they are given.
#pragma once

#include <cstdint>
#include <limits>

#include "linnet/metrics.h"

namespace linnet::metrics {

// Beside what is measured, so that a step fetches nothing from another device.
inline Tensor zero_total() { return scalar(0, DType::kF32).to(default_device()); }
inline Tensor zero_count() { return scalar_integer(0, DType::kI32).to(default_device()); }

constexpr int32_t kMostCounted = std::numeric_limits<int32_t>::max();
/// bool: whether a count has room for `added` more, which are not negative.
inline Tensor has_room(const Tensor& count, const Tensor& added) {
  return count <= scalar_integer(kMostCounted, DType::kI32) - added;
}

/// Zeros of the same type where it is.
inline void reset_to_zero(nnx::MetricState& state) { state.set_value(zeros_like(state.value())); }

/// @throws DTypeError unless they are integers.
void require_labels(const char* metric, const Tensor& labels);
/// @throws ShapeError unless logits are [..., classes] for labels [...].
void require_classes(const char* metric, const Tensor& logits, const Tensor& labels);

}  // namespace linnet::metrics
