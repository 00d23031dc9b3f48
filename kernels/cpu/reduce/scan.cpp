#include "kernels/cpu/reduce/scan.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/cpu/reduce/axis_lines.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/reduce/scan_f32.h"
#include "kernels/scalar/host.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kColumns = 64;

template <ScanKind kind, class A>
A combine(A carry, A value) {
  if constexpr (kind == ScanKind::kSum)
    return wrapping_add(carry, value);
  else if constexpr (kind == ScanKind::kProd)
    return wrapping_multiply(carry, value);
  else if constexpr (kind == ScanKind::kMax)
    return maximum(carry, value);
  else if constexpr (kind == ScanKind::kMin)
    return minimum(carry, value);
  else
    return static_cast<A>(
        scalar::logaddexp(static_cast<double>(carry), static_cast<double>(value)));
}

template <ScanKind kind, class T>
using Carry = std::conditional_t<kIsFloating<T> && kind != ScanKind::kMax && kind != ScanKind::kMin,
                                 double, Wide<T>>;

/// Where the elements of neighbouring lines are, in the order in which they are combined.
template <class T>
struct LineWalk {
  const T* from;
  T* to;
  int64_t length, stride, out_stride;  // along a line
  int64_t step, out_step;              // from line to line

  LineWalk(const T* data, const AxisLines& view, int64_t first, bool reverse, T* out)
      : length(view.length),
        stride(view.stride),
        out_stride(view.out_stride),
        step(view.neighbour_stride()),
        out_step(view.neighbour_out_stride()) {
    const AxisLines::Start start = view.start(first);
    from = data + start.in;
    to = out + start.out;
    if (!reverse) return;
    from += (length - 1) * stride;
    to += (length - 1) * out_stride;
    stride = -stride;
    out_stride = -out_stride;
  }
};

/// Lines side by side, each with its carry in a register: the chains of additions overlap.
template <ScanKind kind, int kLines, class T>
void scan_side_by_side(const LineWalk<T>& w) {
  using A = Carry<kind, T>;
  A carry[kLines];
  for (int c = 0; c < kLines; ++c) {
    carry[c] = static_cast<A>(widen(w.from[c * w.step]));
    w.to[c * w.out_step] = narrow<T>(carry[c]);
  }
  const T* from = w.from;
  T* to = w.to;
  for (int64_t i = 1; i < w.length; ++i) {
    from += w.stride;
    to += w.out_stride;
    for (int c = 0; c < kLines; ++c) {
      carry[c] = combine<kind>(carry[c], static_cast<A>(widen(from[c * w.step])));
      to[c * w.out_step] = narrow<T>(carry[c]);
    }
  }
}

template <ScanKind kind, class T>
void scan_rows(LineWalk<T> w, int64_t count) {
  constexpr int kLines = 8;
  int64_t line = 0;
  for (; line + kLines <= count; line += kLines) {
    scan_side_by_side<kind, kLines>(w);
    w.from += kLines * w.step;
    w.to += kLines * w.out_step;
  }
  for (; line < count; ++line) {
    scan_side_by_side<kind, 1>(w);
    w.from += w.step;
    w.to += w.out_step;
  }
}

/// Lines whose elements lie next to those of their neighbours: element by element of all of them.
template <ScanKind kind, bool kAdjacent, class T>
void scan_columns(const LineWalk<T>& w, int64_t count) {
  using A = Carry<kind, T>;
  const int64_t step = kAdjacent ? 1 : w.step, out_step = kAdjacent ? 1 : w.out_step;
  A carry[kColumns];
  for (int64_t c = 0; c < count; ++c) {
    carry[c] = static_cast<A>(widen(w.from[c * step]));
    w.to[c * out_step] = narrow<T>(carry[c]);
  }
  for (int64_t i = 1; i < w.length; ++i) {
    const T* __restrict__ from = w.from + i * w.stride;
    T* __restrict__ to = w.to + i * w.out_stride;
    for (int64_t c = 0; c < count; ++c) {
      carry[c] = combine<kind>(carry[c], static_cast<A>(widen(from[c * step])));
      to[c * out_step] = narrow<T>(carry[c]);
    }
  }
}

template <ScanKind kind, class T>
void scan_typed(const AxisLines& view, bool reverse, const void* data, void* out) {
  if (view.length == 0) return;
  const T* const from = static_cast<const T*>(data);
  T* const to = static_cast<T*>(out);
  const int64_t step = std::abs(view.neighbour_stride());
  const bool by_columns = view.lines > 1 && step < std::abs(view.stride);
  const bool adjacent = view.neighbour_stride() == 1 && view.neighbour_out_stride() == 1;
  const int64_t grain = std::max<int64_t>(1, 16384 / view.length);
  parallel_for(view.lines, grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t most = by_columns ? std::min(kColumns, end - begin) : end - begin;
      const int64_t count = view.neighbours(begin, most);
      const LineWalk<T> walk(from, view, begin, reverse, to);
      if (!by_columns)
        scan_rows<kind>(walk, count);
      else if (adjacent)
        scan_columns<kind, true>(walk, count);
      else
        scan_columns<kind, false>(walk, count);
      begin += count;
    }
  });
}

/// Lines of adjacent floats are summed in chunks, so that several threads can share one line: first
/// each chunk's total, then each chunk behind the totals before it.
class FloatSums {
 public:
  FloatSums(const AxisLines& view, bool reverse, const float* from, float* to)
      : view_(view), reverse_(reverse), from_(from), to_(to) {}

  void run() const {
    if (view_.lines < num_threads() && view_.length >= 2 * kChunk) {
      for (int64_t line = 0; line < view_.lines; ++line) share_line(line);
      return;
    }
    const int64_t grain = std::max<int64_t>(1, 16384 / view_.length);
    parallel_for(view_.lines, grain, [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) whole_line(line);
    });
  }

 private:
  static constexpr int64_t kChunk = 8192, kTotals = 256;

  struct Chunk {
    const float* from;
    float* to;
    int64_t count;
  };
  /// In the order in which elements are added.
  Chunk chunk(int64_t line, int64_t index) const {
    const AxisLines::Start start = view_.start(line);
    const int64_t before = index * kChunk, count = std::min(kChunk, view_.length - before);
    const int64_t at = reverse_ ? view_.length - before - count : before;
    return {from_ + start.in + at, to_ + start.out + at, count};
  }
  int64_t chunks() const { return (view_.length + kChunk - 1) / kChunk; }

  void whole_line(int64_t line) const {
    double before = -0.0;
    for (int64_t k = 0; k < chunks(); ++k) {
      const Chunk c = chunk(line, k);
      before += cumulative_sum_f32(c.from, c.count, reverse_, before, c.to);
    }
  }

  void share_line(int64_t line) const {
    double before[kTotals + 1] = {-0.0};
    for (int64_t first = 0; first < chunks(); first += kTotals) {
      const int64_t count = std::min(kTotals, chunks() - first);
      parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
          const Chunk c = chunk(line, first + k);
          before[k + 1] = cumulative_total_f32(c.from, c.count, reverse_);
        }
      });
      for (int64_t k = 0; k < count; ++k) before[k + 1] = before[k] + before[k + 1];
      parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
          const Chunk c = chunk(line, first + k);
          cumulative_sum_f32(c.from, c.count, reverse_, before[k], c.to);
        }
      });
      before[0] = before[count];
    }
  }

  const AxisLines& view_;
  bool reverse_;
  const float* from_;
  float* to_;
};

void sum_floats(const AxisLines& view, bool reverse, const void* data, void* out) {
  const bool adjacent = view.stride == 1 && view.out_stride == 1 && view.length > 1;
  if (!adjacent) return scan_typed<ScanKind::kSum, float>(view, reverse, data, out);
  FloatSums(view, reverse, static_cast<const float*>(data), static_cast<float*>(out)).run();
}

template <class T>
PlannedScan::Run function_of(ScanKind kind, DType dtype) {
  switch (kind) {
    case ScanKind::kSum:
      if constexpr (std::is_same_v<T, float>)
        return sum_floats;
      else
        return scan_typed<ScanKind::kSum, T>;
    case ScanKind::kProd:
      return scan_typed<ScanKind::kProd, T>;
    case ScanKind::kMax:
      return scan_typed<ScanKind::kMax, T>;
    case ScanKind::kMin:
      return scan_typed<ScanKind::kMin, T>;
    case ScanKind::kLogSumExp:
      break;
  }
  if constexpr (kIsFloating<T>)
    return scan_typed<ScanKind::kLogSumExp, T>;
  else
    throw DTypeError("cumulative logsumexp: expected a floating type, got " +
                     std::string(name_of(dtype)));
}

}  // namespace

PlannedScan::PlannedScan(ScanKind kind, DType dtype, std::span<const int64_t> shape,
                         std::span<const int64_t> strides, int64_t axis, bool reverse)
    : lines_(shape, strides, axis), reverse_(reverse) {
  visit_dtype(dtype, [&](auto zero) { run_ = function_of<decltype(zero)>(kind, dtype); });
}

}  // namespace linnet::cpu
