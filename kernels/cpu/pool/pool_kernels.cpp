// The loops over windows and channels; compiled once per instruction set.
#include <cstring>
#include <limits>

#include "kernels/cpu/gemm/parallel.h"
#include "kernels/cpu/pool/geometry.h"
#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pool/pool_kernels.cpp"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "kernels/cpu/vector/wide-inl.h"

#ifndef LINNET_POOL_CONSTANTS
#define LINNET_POOL_CONSTANTS
namespace linnet::cpu::pool {
namespace {

// Input elements below which a second thread costs more than it brings.
constexpr int64_t kParallelElements = 1 << 15;
// Channels of a task of the gradient, where one task per image would leave threads idle or the sums
// need memory of their own.
constexpr int64_t kTaskChannels = 64;

template <class T>
struct ForwardJob {
  const Geometry* geometry;
  const T* x;
  T* y;
};

// G is the type gradients are added in: T in place, or f32 in `sums` for overlapping windows of
// bf16.
template <class T, class G>
struct BackwardJob {
  const Geometry* geometry;
  const T* x;
  const T* dy;
  T* dx;
  G* sums;
  int64_t task_channels;
};

bool needs_sums(const Geometry& g, DType dtype) {
  return dtype == DType::kBF16 && !g.is_disjoint();
}

}  // namespace
}  // namespace linnet::cpu::pool
#endif  // LINNET_POOL_CONSTANTS

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::pool {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using cpu::HWY_NAMESPACE::load;
using cpu::HWY_NAMESPACE::store;
using cpu::HWY_NAMESPACE::Wide;

/// Calls visit(input pixel) for the positions inside the input, in row-major order.
template <class Visit>
HWY_INLINE void for_each_position(const Geometry& g, const Window& w, Visit visit) {
  for (int64_t i = w.begin[0]; i < w.end[0]; ++i) {
    const int64_t plane = (w.origin[0] + i * g.dilation[0]) * g.in[1];
    for (int64_t j = w.begin[1]; j < w.end[1]; ++j) {
      const int64_t row = (plane + w.origin[1] + j * g.dilation[1]) * g.in[2];
      for (int64_t k = w.begin[2]; k < w.end[2]; ++k) visit(row + w.origin[2] + k * g.dilation[2]);
    }
  }
}

/// Calls step(number of vectors as a constant, first channel, channels) until `count` are covered.
template <class T, class Step>
HWY_INLINE void for_each_group(int64_t count, Step step) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<Wide<T>>()));
  int64_t c = 0;
  for (; c + 4 * lanes <= count; c += 4 * lanes) step(std::integral_constant<int, 4>(), c);
  for (; c + 2 * lanes <= count; c += 2 * lanes) step(std::integral_constant<int, 2>(), c);
  for (; c + lanes <= count; c += lanes) step(std::integral_constant<int, 1>(), c);
  if (c < count) step(std::integral_constant<int, 0>(), c);
}

/// Whether v replaces `best`. Nothing but another NaN replaces a NaN.
template <class V>
HWY_INLINE auto replaces(V v, V best) {
  return hn::Or(hn::Gt(v, best), hn::IsNaN(v));
}

// kGroup full vectors, or for 0 one partial vector of `count` lanes.
template <int kGroup, class T>
HWY_INLINE void max_group(const Geometry& g, const Window& w, const T* x, T* y, int64_t count) {
  constexpr int kVectors = kGroup ? kGroup : 1;
  const hn::ScalableTag<Wide<T>> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> best[kVectors];
  for (int v = 0; v < kVectors; ++v)
    best[v] = hn::Set(d, -std::numeric_limits<Wide<T>>::infinity());
  for_each_position(g, w, [&](int64_t pixel) HWY_ATTR {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const auto value = load<kGroup == 0>(d, x + pixel * g.channels + v * lanes, count);
      best[v] = hn::IfThenElse(replaces(value, best[v]), value, best[v]);
    }
  });
  for (int v = 0; v < kVectors; ++v) store<kGroup == 0>(d, best[v], y + v * lanes, count);
}

template <int kGroup, class T>
HWY_INLINE void sum_group(const Geometry& g, const Window& w, const T* x, T* y, int64_t count) {
  constexpr int kVectors = kGroup ? kGroup : 1;
  const hn::ScalableTag<Wide<T>> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> sum[kVectors];
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
  for_each_position(g, w, [&](int64_t pixel) HWY_ATTR {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::Add(sum[v], load<kGroup == 0>(d, x + pixel * g.channels + v * lanes, count));
    }
  });
  const auto by = hn::Set(d, static_cast<Wide<T>>(divisor(g, w)));
  for (int v = 0; v < kVectors; ++v)
    store<kGroup == 0>(d, hn::Div(sum[v], by), y + v * lanes, count);
}

template <class T>
void forward_row(const void* context, int64_t index, int) {
  const ForwardJob<T>& job = *static_cast<const ForwardJob<T>*>(context);
  const Geometry& g = *job.geometry;
  const int64_t rows = g.out[0] * g.out[1], image = index / rows, first = index % rows * g.out[2];
  const T* x = job.x + image * g.in_pixels() * g.channels;
  T* y = job.y + (image * g.out_pixels() + first) * g.channels;
  Window w(g, index % rows);
  for (int64_t k = 0; k < g.out[2]; ++k, y += g.channels) {
    w.move_to(g, k);
    for_each_group<T>(g.channels, [&](auto group, int64_t c) HWY_ATTR {
      if (g.kind == PoolKind::kMax) {
        max_group<group()>(g, w, x + c, y + c, g.channels - c);
      } else {
        sum_group<group()>(g, w, x + c, y + c, g.channels - c);
      }
    });
  }
}

/// Where a window's gradient goes: the first channel of the group at pixel 0.
template <class G>
struct Target {
  G* start;
  int64_t pitch;  // elements between pixels
  bool is_only;   // no other window writes here, so there is nothing to add to
};

template <bool kPartial, class D, class G>
HWY_INLINE void deposit(D d, hn::Vec<D> gradient, const Target<G>& target, int64_t at,
                        int64_t count) {
  G* p = target.start + at;
  if (!target.is_only) gradient = hn::Add(gradient, load<kPartial>(d, p, count));
  store<kPartial>(d, gradient, p, count);
}

template <int kGroup, class T, class G>
HWY_INLINE void max_gradient_group(const Geometry& g, const Window& w, const T* x, const T* dy,
                                   const Target<G>& target, int64_t count) {
  constexpr int kVectors = kGroup ? kGroup : 1;
  using S = Wide<T>;
  const hn::ScalableTag<S> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> best[kVectors], position[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    best[v] = hn::Set(d, -std::numeric_limits<S>::infinity());
    position[v] = hn::Zero(d);
  }
  S number = 0;
  for_each_position(g, w, [&](int64_t pixel) HWY_ATTR {
    const auto here = hn::Set(d, number);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const auto value = load<kGroup == 0>(d, x + pixel * g.channels + v * lanes, count);
      // The first of several NaN keeps the gradient.
      const auto take = hn::AndNot(hn::IsNaN(best[v]), replaces(value, best[v]));
      best[v] = hn::IfThenElse(take, value, best[v]);
      position[v] = hn::IfThenElse(take, here, position[v]);
    }
    number += 1;
  });
  number = 0;
  for_each_position(g, w, [&](int64_t pixel) HWY_ATTR {
    const auto here = hn::Set(d, number);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const auto gradient = hn::IfThenElseZero(hn::Eq(position[v], here),
                                               load<kGroup == 0>(d, dy + v * lanes, count));
      deposit<kGroup == 0>(d, gradient, target, pixel * target.pitch + v * lanes, count);
    }
    number += 1;
  });
}

template <int kGroup, class T, class G>
HWY_INLINE void sum_gradient_group(const Geometry& g, const Window& w, const T* dy,
                                   const Target<G>& target, int64_t count) {
  constexpr int kVectors = kGroup ? kGroup : 1;
  const hn::ScalableTag<Wide<T>> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto by = hn::Set(d, static_cast<Wide<T>>(divisor(g, w)));
  hn::Vec<decltype(d)> gradient[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    gradient[v] = hn::Div(load<kGroup == 0>(d, dy + v * lanes, count), by);
  }
  for_each_position(g, w, [&](int64_t pixel) HWY_ATTR {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      deposit<kGroup == 0>(d, gradient[v], target, pixel * target.pitch + v * lanes, count);
    }
  });
}

template <class G>
void clear(G* start, int64_t pixels, int64_t pitch, int64_t channels) {
  const size_t bytes = static_cast<size_t>(channels) * sizeof(G);
  if (pitch == channels) {
    std::memset(static_cast<void*>(start), 0, bytes * static_cast<size_t>(pixels));
    return;
  }
  for (int64_t i = 0; i < pixels; ++i) std::memset(static_cast<void*>(start + i * pitch), 0, bytes);
}

template <class T>
void copy_sums(const float* sums, T* dx, int64_t pixels, int64_t pitch, int64_t channels) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < pixels; ++i, sums += channels, dx += pitch) {
    int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
      store<false>(d, load<false>(d, sums + c, lanes), dx + c, lanes);
    }
    if (c < channels) store<true>(d, load<true>(d, sums + c, channels - c), dx + c, channels - c);
  }
}

template <class T, class G>
void backward_image(const void* context, int64_t index, int thread) {
  const BackwardJob<T, G>& job = *static_cast<const BackwardJob<T, G>*>(context);
  const Geometry& g = *job.geometry;
  const int64_t parts = (g.channels + job.task_channels - 1) / job.task_channels;
  const int64_t image = index / parts, channel = index % parts * job.task_channels;
  const int64_t channels = std::min(job.task_channels, g.channels - channel);
  const T* x = job.x ? job.x + image * g.in_pixels() * g.channels + channel : nullptr;
  const T* dy = job.dy + image * g.out_pixels() * g.channels + channel;
  T* dx = job.dx + image * g.in_pixels() * g.channels + channel;

  Target<G> target{nullptr, g.channels, g.is_disjoint()};
  if constexpr (std::is_same_v<T, G>) {
    target.start = dx;
  } else {
    target.start = job.sums + thread * g.in_pixels() * job.task_channels;
    target.pitch = channels;
  }
  if (!g.is_tiling()) clear(target.start, g.in_pixels(), target.pitch, channels);

  for (int64_t row = 0; row < g.out[0] * g.out[1]; ++row) {
    Window w(g, row);
    for (int64_t k = 0; k < g.out[2]; ++k, dy += g.channels) {
      w.move_to(g, k);
      for_each_group<T>(channels, [&](auto group, int64_t c) HWY_ATTR {
        const Target<G> at{target.start + c, target.pitch, target.is_only};
        if (x) {
          max_gradient_group<group()>(g, w, x + c, dy + c, at, channels - c);
        } else {
          sum_gradient_group<group()>(g, w, dy + c, at, channels - c);
        }
      });
    }
  }
  if constexpr (!std::is_same_v<T, G>)
    copy_sums(target.start, dx, g.in_pixels(), g.channels, channels);
}

template <class T>
void run_forward(const Geometry& g, const void* x, void* y, int threads) {
  const ForwardJob<T> job{&g, static_cast<const T*>(x), static_cast<T*>(y)};
  run_tasks(g.batch * g.out[0] * g.out[1], threads, forward_row<T>, &job);
}

template <class T, class G>
void run_backward(const Geometry& g, const void* x, const void* dy, void* dx, void* workspace,
                  int threads) {
  const bool split = !std::is_same_v<T, G> || g.batch < threads;
  const int64_t channels = split ? std::min(kTaskChannels, g.channels) : g.channels;
  const BackwardJob<T, G> job{&g,
                              static_cast<const T*>(x),
                              static_cast<const T*>(dy),
                              static_cast<T*>(dx),
                              static_cast<G*>(workspace),
                              channels};
  run_tasks(g.batch * ((g.channels + channels - 1) / channels), threads, backward_image<T, G>,
            &job);
}

void forward_any(const Geometry& g, DType dtype, const void* x, void* y, int threads) {
  switch (dtype) {
    case DType::kF64:
      return run_forward<double>(g, x, y, threads);
    case DType::kBF16:
      return run_forward<bfloat16>(g, x, y, threads);
    default:
      return run_forward<float>(g, x, y, threads);
  }
}

void backward_any(const Geometry& g, DType dtype, const void* x, const void* dy, void* dx,
                  void* workspace, int threads) {
  if (needs_sums(g, dtype)) return run_backward<bfloat16, float>(g, x, dy, dx, workspace, threads);
  switch (dtype) {
    case DType::kF64:
      return run_backward<double, double>(g, x, dy, dx, workspace, threads);
    case DType::kBF16:
      return run_backward<bfloat16, bfloat16>(g, x, dy, dx, workspace, threads);
    default:
      return run_backward<float, float>(g, x, dy, dx, workspace, threads);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu::pool
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu::pool {

HWY_EXPORT(forward_any);
HWY_EXPORT(backward_any);

namespace {
int useful_threads(const Geometry& g, int threads) {
  return g.batch * g.in_pixels() * g.channels < kParallelElements ? 1 : threads;
}
}  // namespace

void forward(const Geometry& g, DType dtype, const void* x, void* y, int threads) {
  HWY_DYNAMIC_DISPATCH(forward_any)(g, dtype, x, y, useful_threads(g, threads));
}

void backward(const Geometry& g, DType dtype, const void* x, const void* dy, void* dx,
              void* workspace, int threads) {
  HWY_DYNAMIC_DISPATCH(backward_any)(g, dtype, x, dy, dx, workspace, useful_threads(g, threads));
}

size_t backward_workspace_bytes(const Geometry& g, DType dtype, int threads) {
  if (!needs_sums(g, dtype)) return 0;
  const int64_t elements =
      g.in_pixels() * std::min(kTaskChannels, g.channels) * useful_threads(g, threads);
  return static_cast<size_t>(elements) * sizeof(float);
}

}  // namespace linnet::cpu::pool
#endif  // HWY_ONCE
