#include "kernels/cpu/reference/window.h"

#include <algorithm>

#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/reference/window_walk.h"
#include "kernels/cpu/workspace.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

template <ReduceKind kind, class W>
W identity() {
  if constexpr (kind == ReduceKind::kSum)
    return W(0);
  else if constexpr (kind == ReduceKind::kProd)
    return W(1);
  else if constexpr (kind == ReduceKind::kMax)
    return least_value<W>();
  else
    return greatest_value<W>();
}

template <ReduceKind kind, class W>
W combine(W a, W b) {
  if constexpr (kind == ReduceKind::kSum)
    return wrapping_add(a, b);
  else if constexpr (kind == ReduceKind::kProd)
    return wrapping_multiply(a, b);
  else if constexpr (kind == ReduceKind::kMax)
    return maximum(a, b);
  else
    return minimum(a, b);
}

template <ReduceKind kind, class T>
void reduce_typed(const T* data, std::span<const int64_t> strides, const WindowGeometry& geometry,
                  T* out, void* workspace) {
  using W = Wide<T>;
  const WindowWalk walk(geometry, strides);
  const int64_t inner = walk.inner(), stride = walk.inner_stride();
  const auto reduce = [&](int64_t begin, int64_t end, int64_t slot) {
    W* const sums = static_cast<W*>(workspace) + slot * inner;
    for (int64_t position = begin; position < end; ++position) {
      std::fill_n(sums, inner, identity<kind, W>());
      walk.visit(position, [&](int64_t offset, int64_t) {
        const T* from = data + offset;
        for (int64_t c = 0; c < inner; ++c)
          sums[c] = combine<kind>(sums[c], widen(from[c * stride]));
      });
      for (int64_t c = 0; c < inner; ++c) out[position * inner + c] = narrow<T>(sums[c]);
    }
  };
  parallel_for_slots(walk.positions(), walk.grain(), reduce);
}

// What a thread selects with: the sums of a part, the best of a window and where they are.
template <class T>
struct SelectSpace {
  SelectSpace(Workspace& w, const WindowWalk& walk)
      : part_elements(walk.dense_elements() / std::max<int64_t>(1, walk.independent_parts())),
        sums(w.take<Wide<T>>(part_elements)),
        best(w.take<Wide<T>>(walk.inner())),
        at(w.take<int64_t>(walk.inner())) {}
  int64_t part_elements;
  Wide<T>*sums, *best;
  int64_t* at;
};

template <bool kMax, class T>
void select_typed(const T* data, std::span<const int64_t> strides, const WindowGeometry& geometry,
                  const T* dy, T* dx, void* workspace) {
  using W = Wide<T>;
  const WindowWalk walk(geometry, strides);
  const int64_t inner = walk.inner(), stride = walk.inner_stride();
  const int64_t parts = walk.independent_parts();
  if (parts == 0) return;
  const int64_t part_positions = walk.positions() / parts;
  const auto add_position = [&](int64_t position, const SelectSpace<T>& space, W* sums) {
    W* const best = space.best;
    int64_t* const at = space.at;
    std::fill_n(at, inner, int64_t(-1));
    walk.visit(position, [&](int64_t offset, int64_t dense_offset) {
      for (int64_t c = 0; c < inner; ++c) {
        const W value = widen(data[offset + c * stride]);
        const bool better = kMax ? value > best[c] : value < best[c];
        if (at[c] < 0 || better || (is_nan(value) && !is_nan(best[c]))) {
          best[c] = value;
          at[c] = dense_offset + c;
        }
      }
    });
    for (int64_t c = 0; c < inner; ++c) {
      if (at[c] >= 0) sums[at[c]] = wrapping_add(sums[at[c]], widen(dy[position * inner + c]));
    }
  };
  // Windows overlap only within one position of the leading dimensions that are not pooled, so
  // threads share those out and every element of dx is added to in order.
  parallel_for_slots(parts, 1, [&](int64_t begin, int64_t end, int64_t slot) {
    Workspace w(static_cast<std::byte*>(workspace) +
                static_cast<size_t>(slot) * workspace_bytes<SelectSpace<T>>(walk));
    const SelectSpace<T> space(w, walk);
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * space.part_elements;
      std::fill_n(space.sums, space.part_elements, W(0));
      for (int64_t i = 0; i < part_positions; ++i)
        add_position(part * part_positions + i, space, space.sums - first);
      for (int64_t i = 0; i < space.part_elements; ++i) dx[first + i] = narrow<T>(space.sums[i]);
    }
  });
}

}  // namespace

size_t reduce_window_workspace(DType dtype, std::span<const int64_t> strides,
                               const WindowGeometry& geometry) {
  const WindowWalk walk(geometry, strides);
  const int64_t slots = parallel_slots(walk.positions(), walk.grain());
  return visit_dtype(dtype, [&](auto zero) {
    return static_cast<size_t>(slots * walk.inner()) * sizeof(Wide<decltype(zero)>);
  });
}

void reduce_window(ReduceKind kind, DType dtype, const void* data, std::span<const int64_t> strides,
                   const WindowGeometry& geometry, void* out, void* workspace) {
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(data);
    T* to = static_cast<T*>(out);
    switch (kind) {
      case ReduceKind::kSum:
        return reduce_typed<ReduceKind::kSum>(from, strides, geometry, to, workspace);
      case ReduceKind::kProd:
        return reduce_typed<ReduceKind::kProd>(from, strides, geometry, to, workspace);
      case ReduceKind::kMax:
        return reduce_typed<ReduceKind::kMax>(from, strides, geometry, to, workspace);
      case ReduceKind::kMin:
        return reduce_typed<ReduceKind::kMin>(from, strides, geometry, to, workspace);
      default:
        break;
    }
    throw ValueError(
        "reduce_window: expected a sum, product, maximum or minimum, got a logical reduction");
  });
}

size_t select_workspace(DType dtype, std::span<const int64_t> strides,
                        const WindowGeometry& geometry) {
  const WindowWalk walk(geometry, strides);
  const int64_t slots = parallel_slots(walk.independent_parts(), 1);
  return visit_dtype(dtype, [&](auto zero) {
    return static_cast<size_t>(slots) * workspace_bytes<SelectSpace<decltype(zero)>>(walk);
  });
}

void select_and_scatter_add(ReduceKind kind, DType dtype, const void* data,
                            std::span<const int64_t> strides, const WindowGeometry& geometry,
                            const void* dy, void* dx, void* workspace) {
  if (kind != ReduceKind::kMax && kind != ReduceKind::kMin) {
    throw ValueError("select_and_scatter_add: expected a maximum or minimum");
  }
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *from = static_cast<const T*>(data), *gradient = static_cast<const T*>(dy);
    if (kind == ReduceKind::kMax)
      select_typed<true>(from, strides, geometry, gradient, static_cast<T*>(dx), workspace);
    else
      select_typed<false>(from, strides, geometry, gradient, static_cast<T*>(dx), workspace);
  });
}

}  // namespace linnet::cpu
