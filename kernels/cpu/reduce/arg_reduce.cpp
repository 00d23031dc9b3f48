#include "kernels/cpu/reduce/arg_reduce.h"

#include <algorithm>

#include "kernels/cpu/reduce/axis_lines.h"
#include "kernels/cpu/reduce/element.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/shape.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kColumns = 64;

template <bool kMax, class W>
bool beats(W value, W best) {
  const bool better = kMax ? value > best : value < best;
  if constexpr (std::is_floating_point_v<W>)
    return better || (value != value && best == best);
  else
    return better;
}

// Walks a block of neighbouring lines together, so that memory is read in order whichever of the
// axis and the neighbouring axis is contiguous.
template <bool kMax, class T>
void arg_lines(const T* data, const AxisLines& view, int64_t first, int64_t count, int64_t* at) {
  const T* from = data + view.start(first).in;
  const int64_t step = view.neighbour_stride();
  Wide<T> best[kColumns];
  for (int64_t c = 0; c < count; ++c) {
    best[c] = widen(from[c * step]);
    at[c] = 0;
  }
  if (count == 1) {
    for (int64_t i = 1; i < view.length; ++i) {
      const Wide<T> value = widen(from[i * view.stride]);
      if (beats<kMax>(value, best[0])) best[0] = value, at[0] = i;
    }
    return;
  }
  for (int64_t i = 1; i < view.length; ++i) {
    for (int64_t c = 0; c < count; ++c) {
      const Wide<T> value = widen(from[i * view.stride + c * step]);
      if (beats<kMax>(value, best[c])) best[c] = value, at[c] = i;
    }
  }
}

template <class T>
void arg_reduce_typed(ArgReduceKind kind, const T* data, const AxisLines& view, bool wide_index,
                      void* out) {
  const bool by_columns = std::abs(view.neighbour_stride()) < std::abs(view.stride);
  const int64_t grain = std::max<int64_t>(1, 32768 / view.length);
  parallel_for(view.lines, grain, [&](int64_t begin, int64_t end) {
    int64_t at[kColumns];
    while (begin < end) {
      const int64_t limit = by_columns ? std::min(kColumns, end - begin) : 1;
      const int64_t count = view.neighbours(begin, limit);
      if (kind == ArgReduceKind::kMax)
        arg_lines<true>(data, view, begin, count, at);
      else
        arg_lines<false>(data, view, begin, count, at);
      for (int64_t c = 0; c < count; ++c) {
        if (wide_index)
          static_cast<int64_t*>(out)[begin + c] = at[c];
        else
          static_cast<int32_t*>(out)[begin + c] = static_cast<int32_t>(at[c]);
      }
      begin += count;
    }
  });
}

}  // namespace

void arg_reduce(ArgReduceKind kind, DType dtype, const void* data, std::span<const int64_t> shape,
                std::span<const int64_t> strides, int64_t axis, DType index_dtype, void* out) {
  const char* name = kind == ArgReduceKind::kMax ? "argmax" : "argmin";
  if (index_dtype != DType::kI32 && index_dtype != DType::kI64) {
    throw DTypeError(std::string(name) + ": expected an index type i32 or i64, got " +
                     std::string(name_of(index_dtype)));
  }
  const AxisLines view(shape, strides, axis);
  if (view.lines == 0) return;
  if (view.length == 0) {
    throw ShapeError(std::string(name) + ": axis " + std::to_string(axis) + " of " +
                     type_string(dtype, shape) +
                     " has no elements, so there is no greatest or least one");
  }
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    arg_reduce_typed(kind, static_cast<const T*>(data), view, index_dtype == DType::kI64, out);
  });
}

}  // namespace linnet::cpu
