// Elements of matrices as doubles.
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::fake_cublaslt {

/// Reads and writes elements of one type.
struct Elements {
  double (*load)(const std::byte* from, int64_t index);
  /// Rounds to nearest, ties to even.
  void (*store)(std::byte* to, int64_t index, double value);
};
const Elements& elements_of(uint32_t type);

/// The f32 number rounded to the 10 bits of TF32, ties away from zero.
float to_tf32(float value);

}  // namespace linnet::fake_cublaslt
