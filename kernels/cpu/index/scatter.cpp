#include <algorithm>

#include "kernels/cpu/index/gather.h"
#include "kernels/cpu/index/index_vectors.h"
#include "kernels/cpu/reduce/element.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

bool contains(const Axes& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

template <ScatterKind kind, class T>
T combine(T old, T update) {
  if constexpr (kind == ScatterKind::kUpdate)
    return update;
  else if constexpr (kind == ScatterKind::kAdd)
    return narrow<T>(wrapping_add(widen(old), widen(update)));
  else if constexpr (kind == ScatterKind::kMul)
    return narrow<T>(wrapping_multiply(widen(old), widen(update)));
  else if constexpr (kind == ScatterKind::kMin)
    return narrow<T>(minimum(widen(old), widen(update)));
  else
    return narrow<T>(maximum(widen(old), widen(update)));
}

struct WindowLoop {
  int64_t size, out, update;
};
using WindowLoops = SmallVector<WindowLoop, 6>;

// One run of a window, types erased so that the walk is compiled once. Strides are in elements.
using CombineRun = void (*)(void* out, int64_t out_stride, const void* updates,
                            int64_t update_stride, int64_t count);

template <ScatterKind kind, class T>
void combine_run(void* out, int64_t out_stride, const void* updates, int64_t update_stride,
                 int64_t count) {
  T* to = static_cast<T*>(out);
  const T* from = static_cast<const T*>(updates);
  if (out_stride == 1 && update_stride == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = combine<kind>(to[i], from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i)
      to[i * out_stride] = combine<kind>(to[i * out_stride], from[i * update_stride]);
  }
}

/// Of complex numbers, whose parts T lie side by side.
template <bool kAdd, class T>
void combine_parts(void* out, int64_t out_stride, const void* updates, int64_t update_stride,
                   int64_t count) {
  T* to = static_cast<T*>(out);
  const T* from = static_cast<const T*>(updates);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t part = 0; part < 2; ++part) {
      T& x = to[2 * i * out_stride + part];
      const T update = from[2 * i * update_stride + part];
      x = kAdd ? x + update : update;
    }
  }
}

/// There are sums and updates of them.
CombineRun complex_run_of(ScatterKind kind, DType dtype) {
  if (kind == ScatterKind::kAdd)
    return dtype == DType::kC64 ? combine_parts<true, float> : combine_parts<true, double>;
  return dtype == DType::kC64 ? combine_parts<false, float> : combine_parts<false, double>;
}

CombineRun run_of(ScatterKind kind, DType dtype) {
  if (is_complex(dtype)) return complex_run_of(kind, dtype);
  return visit_dtype(dtype, [kind](auto zero) -> CombineRun {
    using T = decltype(zero);
    switch (kind) {
      case ScatterKind::kUpdate:
        return combine_run<ScatterKind::kUpdate, T>;
      case ScatterKind::kAdd:
        return combine_run<ScatterKind::kAdd, T>;
      case ScatterKind::kMul:
        return combine_run<ScatterKind::kMul, T>;
      case ScatterKind::kMin:
        return combine_run<ScatterKind::kMin, T>;
      case ScatterKind::kMax:
        break;
    }
    return combine_run<ScatterKind::kMax, T>;
  });
}

void combine_window(CombineRun run, int64_t element_size, const WindowLoop* loops, size_t depth,
                    char* out, const char* update) {
  if (depth == 0) return run(out, 0, update, 0, 1);
  if (depth == 1) return run(out, loops->out, update, loops->update, loops->size);
  for (int64_t i = 0; i < loops->size; ++i) {
    combine_window(run, element_size, loops + 1, depth - 1, out + i * loops->out * element_size,
                   update + i * loops->update * element_size);
  }
}

// Everything a scatter needs besides the data.
struct ScatterPlan {
  WindowLoops window;
  Shape batch_shape;
  Strides batch_strides;
  std::span<const int64_t> targets;  // offset in out per index vector, or kOutside
};

ScatterPlan plan_scatter(const ScatterOperands& s, const ScatterDimensions& dims, IndexMode mode,
                         void* workspace) {
  require_shape(dims.update_window_dims.size() + dims.inserted_window_dims.size() +
                        dims.operand_batching_dims.size() ==
                    s.shape.size(),
                "scatter",
                "expected every operand dimension to be a window, inserted or batching dimension");
  require_shape(
      dims.update_window_dims.size() + s.indices_shape.size() == s.updates_shape.size() + 1,
      "scatter",
      "expected updates with the batch dimensions of the indices and the window dimensions");
  ScatterPlan plan;
  const Strides out_strides = dense_strides(s.shape);
  Shape window;
  size_t next = 0;
  for (size_t i = 0; i < s.shape.size(); ++i) {
    const int64_t dim = static_cast<int64_t>(i);
    if (contains(dims.inserted_window_dims, dim) || contains(dims.operand_batching_dims, dim)) {
      window.push_back(1);
      continue;
    }
    const size_t at = static_cast<size_t>(dims.update_window_dims[next++]);
    window.push_back(s.updates_shape[at]);
    plan.window.push_back({s.updates_shape[at], out_strides[i], s.updates_strides[at]});
  }
  for (size_t i = 0; i < s.updates_shape.size(); ++i) {
    if (contains(dims.update_window_dims, static_cast<int64_t>(i))) continue;
    plan.batch_shape.push_back(s.updates_shape[i]);
    plan.batch_strides.push_back(s.updates_strides[i]);
  }
  require_shape(!s.indices_shape.empty(), "scatter", "expected index vectors");
  Workspace parts(workspace);
  const IndexSpace space(parts, s.indices_shape);
  const std::span<const int64_t> indices = read_indices(
      "scatter", s.index_dtype, s.indices, s.indices_shape, s.indices_strides, space.indices);
  plan.targets = window_offsets({"scatter", s.shape, out_strides, window,
                                 dims.scatter_dims_to_operand_dims, dims.operand_batching_dims,
                                 dims.indices_batching_dims, s.indices_shape, mode},
                                indices, space.offsets)
                     .offsets;
  return plan;
}

// Threads share out the largest loop of the window, never the indices: every element of the result
// then sees its updates in order.
void execute(const ScatterPlan& plan, CombineRun run, int64_t element_size, char* out,
             const char* updates) {
  size_t shared = 0;
  int64_t window_elements = 1;
  for (size_t i = 0; i < plan.window.size(); ++i) {
    window_elements *= plan.window[i].size;
    if (plan.window[i].size > plan.window[shared].size) shared = i;
  }
  if (window_elements == 0) return;
  const int64_t total = plan.window.empty() ? 1 : plan.window[shared].size;
  const int64_t work = window_elements / total * static_cast<int64_t>(plan.targets.size());
  parallel_for(total, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work)),
               [&](int64_t begin, int64_t end) {
                 WindowLoops window = plan.window;
                 int64_t out_skip = 0, update_skip = 0;
                 if (!window.empty()) {
                   window[shared].size = end - begin;
                   out_skip = begin * window[shared].out;
                   update_skip = begin * window[shared].update;
                 }
                 Shape position(plan.batch_shape.size(), 0);
                 for (int64_t target : plan.targets) {
                   if (target != WindowOffsets::kOutside) {
                     combine_window(run, element_size, window.data(), window.size(),
                                    out + (target + out_skip) * element_size,
                                    updates + update_skip * element_size);
                   }
                   for (size_t d = position.size(); d-- > 0;) {
                     update_skip += plan.batch_strides[d];
                     if (++position[d] < plan.batch_shape[d]) break;
                     update_skip -= plan.batch_shape[d] * plan.batch_strides[d];
                     position[d] = 0;
                   }
                 }
               });
}

}  // namespace

void scatter(const ScatterOperands& s, const ScatterDimensions& dims, IndexMode mode,
             void* workspace) {
  const ScatterPlan plan = plan_scatter(s, dims, mode, workspace);
  execute(plan, run_of(s.kind, s.dtype), static_cast<int64_t>(size_of(s.dtype)),
          static_cast<char*>(s.out), static_cast<const char*>(s.updates));
}

void scatter_rows(ScatterKind kind, DType dtype, void* out, int64_t rows, int64_t width,
                  DType index_dtype, const void* indices, int64_t count, const void* updates,
                  IndexMode mode, void* workspace) {
  const ScatterOperands operands{kind,
                                 dtype,
                                 out,
                                 Shape{rows, width},
                                 index_dtype,
                                 indices,
                                 Shape{count, 1},
                                 Strides{1, 1},
                                 updates,
                                 Shape{count, width},
                                 Strides{width, 1}};
  scatter(operands, {Axes{1}, Axes{0}, Axes{0}, Axes{}, Axes{}}, mode, workspace);
}

}  // namespace linnet::cpu
