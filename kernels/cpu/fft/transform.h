// Discrete Fourier transforms of strided arrays along their last axes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu {

enum class FftDirection : uint8_t { kForward, kInverse };

/// What a transform is; the inverse is divided by the number of elements.
struct FftProblem {
  DType dtype;  ///< of the parts: f32 or f64
  FftDirection direction;
  bool real;                     ///< forward from real numbers, inverse to them
  Shape shape;                   ///< of the operand
  Strides strides;               ///< of the operand
  std::vector<int64_t> lengths;  ///< of the trailing axes, on the real side if there is one
};

/// Planned once for any number of runs. Results do not depend on the number of threads.
class PlannedFft {
 public:
  explicit PlannedFft(FftProblem problem);
  ~PlannedFft();

  size_t workspace_bytes() const;
  /// Writes the dense result. May be called from several threads at once.
  void run(const void* in, void* out, void* workspace) const;

 private:
  struct Parts;
  const std::unique_ptr<const Parts> parts_;
};

}  // namespace linnet::cpu
