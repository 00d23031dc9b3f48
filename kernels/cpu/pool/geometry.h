// Private: where the windows of a pool lie, always with three spatial dimensions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/pool/pool.h"

namespace linnet::cpu::pool {

struct Geometry {
  PoolKind kind;
  int64_t batch, channels;
  int64_t in[3], out[3], window[3], stride[3], low[3], dilation[3];

  explicit Geometry(const PoolSpec& spec);

  int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
  int64_t window_size() const { return window[0] * window[1] * window[2]; }
  /// No input element belongs to two windows.
  bool is_disjoint() const;
  /// Every input element belongs to exactly one window.
  bool is_tiling() const;
};

/// The part of one window that lies inside the input. It walks along a row of windows, so that the
/// other dimensions are worked out once a row.
struct Window {
  int64_t origin[3];         // input coordinates of position 0; may be negative
  int64_t begin[3], end[3];  // positions inside the input

  /// The first window of a row; rows are numbered over the first two dimensions.
  Window(const Geometry& g, int64_t row) {
    place(g, 0, row / g.out[1]);
    place(g, 1, row % g.out[1]);
    place(g, 2, 0);
  }

  void move_to(const Geometry& g, int64_t column) { place(g, 2, column); }

  int64_t size() const {
    int64_t product = 1;
    for (int i = 0; i < 3; ++i) product *= std::max<int64_t>(0, end[i] - begin[i]);
    return product;
  }

 private:
  void place(const Geometry& g, int i, int64_t at) {
    const int64_t step = g.dilation[i];
    origin[i] = at * g.stride[i] - g.low[i];
    begin[i] = origin[i] >= 0 ? 0 : (step - 1 - origin[i]) / step;
    const int64_t last = origin[i] + (g.window[i] - 1) * step;
    const int64_t room = g.in[i] - 1 - origin[i];
    end[i] = last < g.in[i] ? g.window[i] : room < 0 ? 0 : room / step + 1;
  }
};

/// What a position contributes to the sum is divided by this.
inline double divisor(const Geometry& g, const Window& w) {
  switch (g.kind) {
    case PoolKind::kAverageIncludePadding:
      return static_cast<double>(g.window_size());
    case PoolKind::kAverageExcludePadding:
      return static_cast<double>(w.size());
    case PoolKind::kMax:
    case PoolKind::kSum:
      break;
  }
  return 1;
}

/// Implemented in pool_kernels.cpp, with the instruction set chosen at run time.
void forward(const Geometry& g, DType dtype, const void* x, void* y, int threads);
void backward(const Geometry& g, DType dtype, const void* x, const void* dy, void* dx,
              void* workspace, int threads);
size_t backward_workspace_bytes(const Geometry& g, DType dtype, int threads);

}  // namespace linnet::cpu::pool
