// Cumulative sums of adjacent floats, several at a time.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// out[i] = before + data[0] + … + data[i]; with `reverse`, before + data[count-1] + … + data[i].
/// The additions are in double, in an order that depends on `count` alone: not on the instruction
/// set, nor on `before`. Returns the sum of the data without `before`. To have no other effect on
/// signs, `before` begins as -0.0.
double cumulative_sum_f32(const float* data, int64_t count, bool reverse, double before,
                          float* out);

/// What `cumulative_sum_f32` returns, alone.
double cumulative_total_f32(const float* data, int64_t count, bool reverse);

}  // namespace linnet::cpu
