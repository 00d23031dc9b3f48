#include "kernels/cpu/index/index_vectors.h"

#include <algorithm>
#include <limits>
#include <string>

#include "linnet/error.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {

void require_shape(bool holds, const char* operation, const char* text) {
  if (!holds) throw ShapeError(std::string(operation) + ": " + text);
}

std::span<const int64_t> read_indices(const char* operation, DType dtype, const void* data,
                                      std::span<const int64_t> shape,
                                      std::span<const int64_t> strides, int64_t* out) {
  if (!is_integer(dtype)) {
    throw DTypeError(std::string(operation) + ": expected indices of an integer type, got " +
                     type_string(dtype, shape));
  }
  const int64_t count = element_count(shape);
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      Shape position(shape.size(), 0);
      int64_t offset = 0;
      for (int64_t i = 0; i < count; ++i) {
        const T value = static_cast<const T*>(data)[offset];
        constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
        const bool huge = sizeof(T) == 8 && !std::is_signed_v<T> &&
                          static_cast<uint64_t>(value) > static_cast<uint64_t>(kMax);
        out[i] = huge ? kMax : static_cast<int64_t>(value);
        for (size_t d = shape.size(); d-- > 0;) {
          offset += strides[d];
          if (++position[d] < shape[d]) break;
          offset -= shape[d] * strides[d];
          position[d] = 0;
        }
      }
    }
  });
  return {out, static_cast<size_t>(count)};
}

WindowOffsets window_offsets(const WindowRequest& r, std::span<const int64_t> indices,
                             int64_t* out) {
  const size_t components = r.component_dims.size();
  require_shape(
      !r.indices_shape.empty() && r.indices_shape.back() == static_cast<int64_t>(components),
      r.operation,
      "expected index vectors along the last dimension, one component per indexed operand "
      "dimension");
  const std::span<const int64_t> batch_shape = r.indices_shape.first(r.indices_shape.size() - 1);
  const int64_t count = element_count(batch_shape);
  Shape position(batch_shape.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t offset = 0;
    bool inside = true;
    for (size_t c = 0; c < components; ++c) {
      const size_t dim = static_cast<size_t>(r.component_dims[c]);
      const int64_t start = indices[static_cast<size_t>(i) * components + c];
      const int64_t last = r.shape[dim] - r.window[dim];
      const int64_t moved = std::clamp<int64_t>(start, 0, std::max<int64_t>(0, last));
      inside = inside && (moved == start || r.mode != IndexMode::kFill) && last >= 0;
      offset += moved * r.strides[dim];
    }
    for (size_t b = 0; b < r.operand_batching_dims.size(); ++b) {
      offset += position[static_cast<size_t>(r.indices_batching_dims[b])] *
                r.strides[static_cast<size_t>(r.operand_batching_dims[b])];
    }
    out[i] = inside ? offset : WindowOffsets::kOutside;
    for (size_t d = batch_shape.size(); d-- > 0;) {
      if (++position[d] < batch_shape[d]) break;
      position[d] = 0;
    }
  }
  return {{out, static_cast<size_t>(count)}};
}

}  // namespace linnet::cpu
