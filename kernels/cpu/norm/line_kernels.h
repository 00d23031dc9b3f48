// Kernels that turn each line along one axis of dense tensors into a line, or into a number:
// softmax, its logarithm, their gradients, log-sum-exp.
//
//   const void* in[] = {logits};
//   run_lines(softmax_lines, DType::kF32, 32, 10, 1, in, probabilities, workspace);   // ten
//   classes
//
// A kernel is a vector function for a line of neighbouring elements and one for a block of
// neighbouring lines; what is here walks over tensors with them, on several threads. 16-bit floats
// are computed in float and rounded once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// Most lines of a block.
inline constexpr int64_t kLineColumns = 64;
/// Most operands of a kernel.
inline constexpr int kMostLineInputs = 2;

template <class T>
struct LineFunctions {
  /// One line of `count` neighbouring elements of each operand; `out` likewise, or one number.
  void (*row)(int64_t count, const T* const* in, T* out);
  /// `columns` lines of `axis` elements, a `stride` apart: element i of line c at [i * stride + c];
  /// `out` likewise, or a number for each line at [c].
  void (*columns)(int64_t axis, int64_t stride, int64_t columns, const T* const* in, T* out);
};

struct LineKernel {
  const char* name;
  int inputs;     ///< operands, all of one shape
  bool reduces;   ///< to one number for each line
  bool in_place;  ///< the result may be the first operand
  LineFunctions<float> f32;
  LineFunctions<double> f64;
};

/// Name, vector functions, operands, whether it reduces, whether it works in place.
///
/// softmax: y = exp(x - max) / sum(exp(x - max)); log_softmax: (x - max) - log(sum).
/// softmax_backward: y, dy -> y (dy - sum(y dy)); log_softmax_backward: dy - exp(y) sum(dy).
/// logsumexp: log(sum(exp(x))), shifted by the maximum where that is finite.
#define LINNET_SOFTMAX_LINES(X)                                   \
  X(softmax, Softmax<false>, 1, false, true)                      \
  X(log_softmax, Softmax<true>, 1, false, true)                   \
  X(softmax_backward, SoftmaxBackward<false>, 2, false, false)    \
  X(log_softmax_backward, SoftmaxBackward<true>, 2, false, false) \
  X(logsumexp, LogSumExp, 1, true, false)

#define LINNET_DECLARE_LINES(name, ...) extern const LineKernel name##_lines;
LINNET_SOFTMAX_LINES(LINNET_DECLARE_LINES)
#undef LINNET_DECLARE_LINES

/// Runs a kernel on operands seen as [outer, axis, inner]; inner is 1 for the last axis.
/// @throws DTypeError for other than floating types.
void run_lines(const LineKernel& kernel, DType dtype, int64_t outer, int64_t axis, int64_t inner,
               const void* const* in, void* out, void* workspace);

/// Bytes of its workspace, aligned to 64; 0 but for 16-bit floats.
size_t lines_workspace(const LineKernel& kernel, DType dtype, int64_t outer, int64_t axis,
                       int64_t inner);

}  // namespace linnet::cpu
