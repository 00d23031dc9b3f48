// Convolution in one to three spatial dimensions for every element type and layout: the fallback
// behind faster libraries, and their test. As in neural networks, the kernel is not reversed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

inline constexpr int kMaxSpatial = 3;
using Spatial = std::array<int64_t, kMaxSpatial>;

/// Sizes and steps of a convolution. Unused spatial dimensions keep their defaults, a size of 1.
/// out[n, o, p] = sum over c, t of in[n', c, (p stride + t kernel_dilation - pad_low) /
/// input_dilation] times kernel[o, c, t], where positions that are not multiples of input_dilation,
/// or lie outside, count as 0. Negative padding cuts.
struct ConvolutionGeometry {
  int64_t batch = 1;  ///< of the input
  int64_t in_features = 1;
  int64_t out_features = 1;
  int64_t feature_groups = 1;  ///< input and output features fall into this many independent groups
  int64_t batch_groups = 1;    ///< output feature group g reads the g-th part of the batch
  Spatial in_size{1, 1, 1};
  Spatial kernel_size{1, 1, 1};
  Spatial stride{1, 1, 1};
  Spatial pad_low{0, 0, 0};
  Spatial pad_high{0, 0, 0};
  Spatial input_dilation{1, 1, 1};
  Spatial kernel_dilation{1, 1, 1};

  /// Size of the result along one spatial dimension; 0 if the kernel does not fit.
  int64_t out_size(int dimension) const;
};

/// Strides in elements: `outer` of the batch (of the output features for a kernel), `feature` of
/// the features (input features per group for a kernel), then spatial.
struct ConvolutionStrides {
  int64_t outer;
  int64_t feature;
  Spatial spatial{0, 0, 0};
};

struct ConvolutionProblem {
  DType dtype;      ///< of input and kernel
  DType out_dtype;  ///< of the result
  ConvolutionGeometry geometry;
  const void* input;
  ConvolutionStrides input_strides;
  const void* kernel;
  ConvolutionStrides kernel_strides;
  void* out;
  ConvolutionStrides out_strides;
};

/// Accumulation is that of `reference_matmul`. The result does not depend on the number of threads.
/// @throws ShapeError if features or batch are not divisible by the groups, or both groups
/// exceed 1.
void reference_convolution(const ConvolutionProblem& problem, void* workspace);
/// Bytes of its workspace, aligned to 64; no address in the problem counts.
size_t reference_convolution_workspace(const ConvolutionProblem& problem);

}  // namespace linnet::cpu
