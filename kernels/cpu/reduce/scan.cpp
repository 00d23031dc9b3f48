#include "kernels/cpu/reduce/scan.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/reduce/axis_lines.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/scalar/host.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

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

template <ScanKind kind, class T>
void scan_lines(const T* data, const AxisLines& view, int64_t first, int64_t count, bool reverse,
                T* out) {
  using A = Carry<kind, T>;
  const AxisLines::Start start = view.start(first);
  const int64_t step = view.neighbour_stride(), out_step = view.neighbour_out_stride();
  A carry[kColumns];
  for (int64_t i = 0; i < view.length; ++i) {
    const int64_t position = reverse ? view.length - 1 - i : i;
    const T* from = data + start.in + position * view.stride;
    T* to = out + start.out + position * view.out_stride;
    for (int64_t c = 0; c < count; ++c) {
      const A value = static_cast<A>(widen(from[c * step]));
      carry[c] = i == 0 ? value : combine<kind>(carry[c], value);
      to[c * out_step] = narrow<T>(carry[c]);
    }
  }
}

template <ScanKind kind, class T>
void scan_typed(const T* data, const AxisLines& view, bool reverse, T* out) {
  const bool by_columns = std::abs(view.neighbour_stride()) < std::abs(view.stride);
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, view.length));
  parallel_for(view.lines, grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t count =
          view.neighbours(begin, by_columns ? std::min(kColumns, end - begin) : 1);
      scan_lines<kind>(data, view, begin, count, reverse, out);
      begin += count;
    }
  });
}

}  // namespace

void scan(ScanKind kind, DType dtype, const void* data, std::span<const int64_t> shape,
          std::span<const int64_t> strides, int64_t axis, bool reverse, void* out) {
  const AxisLines view(shape, strides, axis);
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(data);
    T* to = static_cast<T*>(out);
    switch (kind) {
      case ScanKind::kSum:
        return scan_typed<ScanKind::kSum>(from, view, reverse, to);
      case ScanKind::kProd:
        return scan_typed<ScanKind::kProd>(from, view, reverse, to);
      case ScanKind::kMax:
        return scan_typed<ScanKind::kMax>(from, view, reverse, to);
      case ScanKind::kMin:
        return scan_typed<ScanKind::kMin>(from, view, reverse, to);
      case ScanKind::kLogSumExp:
        break;
    }
    if constexpr (kIsFloating<T>) {
      scan_typed<ScanKind::kLogSumExp>(from, view, reverse, to);
    } else {
      throw DTypeError("cumulative logsumexp: expected a floating type, got " +
                       type_string(dtype, shape));
    }
  });
}

}  // namespace linnet::cpu
