#include "kernels/cpu/reference/window.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/reference/window_walk.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

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
                  T* out) {
  using W = Wide<T>;
  const WindowWalk walk(geometry, strides);
  const int64_t inner = walk.inner(), stride = walk.inner_stride();
  parallel_for(walk.positions(), walk.grain(), [&](int64_t begin, int64_t end) {
    const auto sums = std::make_unique<W[]>(static_cast<size_t>(inner));
    for (int64_t position = begin; position < end; ++position) {
      std::fill_n(sums.get(), inner, identity<kind, W>());
      walk.visit(position, [&](int64_t offset, int64_t) {
        const T* from = data + offset;
        W* to = sums.get();
        for (int64_t c = 0; c < inner; ++c) to[c] = combine<kind>(to[c], widen(from[c * stride]));
      });
      for (int64_t c = 0; c < inner; ++c)
        out[position * inner + c] = narrow<T>(sums[static_cast<size_t>(c)]);
    }
  });
}

// Windows overlap only within one position of the leading dimensions that are not pooled, so
// threads share those out and every element of dx is added to in order.
template <class T, class AddPosition>
void for_independent_parts(const WindowWalk& walk, T* dx, AddPosition&& add) {
  const int64_t parts = walk.independent_parts();
  if (parts == 0) return;
  const int64_t part_positions = walk.positions() / parts,
                part_elements = walk.dense_elements() / parts;
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    using W = Wide<T>;
    const auto sums = std::make_unique<W[]>(static_cast<size_t>(part_elements));
    auto add_position = add();
    for (int64_t part = begin; part < end; ++part) {
      std::fill_n(sums.get(), part_elements, W(0));
      for (int64_t i = 0; i < part_positions; ++i) {
        add_position(part * part_positions + i, sums.get() - part * part_elements);
      }
      for (int64_t i = 0; i < part_elements; ++i)
        dx[part * part_elements + i] = narrow<T>(sums[static_cast<size_t>(i)]);
    }
  });
}

template <bool kMax, class T>
void select_typed(const T* data, std::span<const int64_t> strides, const WindowGeometry& geometry,
                  const T* dy, T* dx) {
  using W = Wide<T>;
  const WindowWalk walk(geometry, strides);
  const int64_t inner = walk.inner(), stride = walk.inner_stride();
  const size_t width = static_cast<size_t>(inner);
  for_independent_parts(walk, dx, [&] {
    return [&, best = std::make_unique<W[]>(width), at = std::vector<int64_t>(width)](
               int64_t position, W* sums) mutable {
      std::fill(at.begin(), at.end(), int64_t(-1));
      walk.visit(position, [&](int64_t offset, int64_t dense_offset) {
        for (size_t c = 0; c < width; ++c) {
          const W value = widen(data[offset + static_cast<int64_t>(c) * stride]);
          const bool better = kMax ? value > best[c] : value < best[c];
          if (at[c] < 0 || better || (is_nan(value) && !is_nan(best[c]))) {
            best[c] = value;
            at[c] = dense_offset + static_cast<int64_t>(c);
          }
        }
      });
      for (size_t c = 0; c < width; ++c) {
        if (at[c] >= 0)
          sums[at[c]] =
              wrapping_add(sums[at[c]], widen(dy[position * inner + static_cast<int64_t>(c)]));
      }
    };
  });
}

template <class T>
void sum_backward_typed(const WindowGeometry& geometry, const T* dy, T* dx) {
  using W = Wide<T>;
  const Strides strides = dense_strides(geometry.shape);
  const WindowWalk walk(geometry, strides);
  const int64_t inner = walk.inner();
  for_independent_parts(walk, dx, [&] {
    return [&](int64_t position, W* sums) {
      const T* gradient = dy + position * inner;
      walk.visit(position, [&](int64_t, int64_t dense_offset) {
        for (int64_t c = 0; c < inner; ++c)
          sums[dense_offset + c] = wrapping_add(sums[dense_offset + c], widen(gradient[c]));
      });
    };
  });
}

}  // namespace

void reduce_window(ReduceKind kind, DType dtype, const void* data, std::span<const int64_t> strides,
                   const WindowGeometry& geometry, void* out) {
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(data);
    T* to = static_cast<T*>(out);
    switch (kind) {
      case ReduceKind::kSum:
        return reduce_typed<ReduceKind::kSum>(from, strides, geometry, to);
      case ReduceKind::kProd:
        return reduce_typed<ReduceKind::kProd>(from, strides, geometry, to);
      case ReduceKind::kMax:
        return reduce_typed<ReduceKind::kMax>(from, strides, geometry, to);
      case ReduceKind::kMin:
        return reduce_typed<ReduceKind::kMin>(from, strides, geometry, to);
      default:
        break;
    }
    throw ValueError(
        "reduce_window: expected a sum, product, maximum or minimum, got a logical reduction");
  });
}

void select_and_scatter_add(ReduceKind kind, DType dtype, const void* data,
                            std::span<const int64_t> strides, const WindowGeometry& geometry,
                            const void* dy, void* dx) {
  if (kind != ReduceKind::kMax && kind != ReduceKind::kMin) {
    throw ValueError("select_and_scatter_add: expected a maximum or minimum");
  }
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *from = static_cast<const T*>(data), *gradient = static_cast<const T*>(dy);
    if (kind == ReduceKind::kMax)
      select_typed<true>(from, strides, geometry, gradient, static_cast<T*>(dx));
    else
      select_typed<false>(from, strides, geometry, gradient, static_cast<T*>(dx));
  });
}

void reduce_window_sum_backward(DType dtype, const WindowGeometry& geometry, const void* dy,
                                void* dx) {
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    sum_backward_typed(geometry, static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

}  // namespace linnet::cpu
