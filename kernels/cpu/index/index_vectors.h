// Index vectors of gather and scatter, read once into 64-bit operand offsets.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "kernels/cpu/index/gather.h"
#include "kernels/cpu/workspace.h"

namespace linnet::cpu {

/// Integers of any type and stride as int64 in `out`, row-major; u64 values beyond int64 become its
/// maximum.
std::span<const int64_t> read_indices(const char* operation, DType dtype, const void* data,
                                      std::span<const int64_t> shape,
                                      std::span<const int64_t> strides, int64_t* out);

/// What gather and scatter work in.
struct IndexSpace {
  IndexSpace(Workspace& w, std::span<const int64_t> indices_shape)
      : indices(w.take<int64_t>(element_count(indices_shape))),
        offsets(w.take<int64_t>(element_count(indices_shape.first(indices_shape.size() - 1)))) {}
  int64_t *indices, *offsets;
};

/// Where the windows of all index vectors begin in the operand.
struct WindowOffsets {
  /// No offset: with negative strides, small negative numbers are offsets too.
  static constexpr int64_t kOutside = std::numeric_limits<int64_t>::min();
  std::span<const int64_t> offsets;  ///< in elements, or kOutside
};

struct WindowRequest {
  const char* operation;
  std::span<const int64_t> shape, strides;  // operand
  std::span<const int64_t> window;          // size per operand dimension
  const Axes& component_dims;               // operand dimension per index component
  const Axes& operand_batching_dims;
  const Axes& indices_batching_dims;
  std::span<const int64_t> indices_shape;
  IndexMode mode;
};

WindowOffsets window_offsets(const WindowRequest& request, std::span<const int64_t> indices,
                             int64_t* out);

/// Throws ShapeError with `text` and the operation's name unless `holds`.
void require_shape(bool holds, const char* operation, const char* text);

}  // namespace linnet::cpu
