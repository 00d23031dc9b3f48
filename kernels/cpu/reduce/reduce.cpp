#include "kernels/cpu/reduce/reduce.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/reduce/reduce_f32.h"
#include "kernels/cpu/reduce/reduce_plan.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

// The arithmetic of one reduction over elements T. `Accumulator` holds a partial result.
template <ReduceKind kind, class T>
struct Reducer {
  using W = Wide<T>;
  static constexpr bool kFloatSum =
      kIsFloating<T> && (kind == ReduceKind::kSum || kind == ReduceKind::kProd);
  static constexpr bool kLogical = kind == ReduceKind::kAny || kind == ReduceKind::kAll;
  using Accumulator = std::conditional_t<kLogical, bool, std::conditional_t<kFloatSum, double, W>>;
  using Result = std::conditional_t<kLogical, bool, T>;

  static constexpr Accumulator identity() {
    if constexpr (kind == ReduceKind::kSum || kind == ReduceKind::kAny)
      return Accumulator(0);
    else if constexpr (kind == ReduceKind::kProd || kind == ReduceKind::kAll)
      return Accumulator(1);
    else if constexpr (kind == ReduceKind::kMax)
      return least_value<Accumulator>();
    else
      return greatest_value<Accumulator>();
  }

  static Accumulator lift(T value) {
    if constexpr (kLogical)
      return widen(value) != W(0);
    else
      return static_cast<Accumulator>(widen(value));
  }

  static Accumulator combine(Accumulator a, Accumulator b) {
    if constexpr (kind == ReduceKind::kSum)
      return wrapping_add(a, b);
    else if constexpr (kind == ReduceKind::kProd)
      return wrapping_multiply(a, b);
    else if constexpr (kind == ReduceKind::kMax)
      return maximum(a, b);
    else if constexpr (kind == ReduceKind::kMin)
      return minimum(a, b);
    else if constexpr (kind == ReduceKind::kAny)
      return a || b;
    else
      return a && b;
  }

  static Accumulator run(const T* data, int64_t count, int64_t stride) {
    if constexpr (std::is_same_v<T, float>) {
      if (stride == 1) {
        if constexpr (kind == ReduceKind::kSum) return sum_run_f32(data, count);
        if constexpr (kind == ReduceKind::kMax) return max_run_f32(data, count);
        if constexpr (kind == ReduceKind::kMin) return min_run_f32(data, count);
      }
    }
    if constexpr (std::is_floating_point_v<Accumulator>) {
      return four_chains(data, count, stride);
    } else {
      Accumulator total = identity();
      if (stride == 1) {
        for (int64_t i = 0; i < count; ++i) total = combine(total, lift(data[i]));
      } else {
        for (int64_t i = 0; i < count; ++i) total = combine(total, lift(data[i * stride]));
      }
      return total;
    }
  }

  // Hides the latency of floating-point operations, which the compiler may not reorder. Not for
  // integers: g++ 12.2 vectorises this shape of loop wrongly for 8- and 16-bit ones.
  static Accumulator four_chains(const T* data, int64_t count, int64_t stride) {
    Accumulator a = identity(), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
      a = combine(a, lift(data[i * stride]));
      b = combine(b, lift(data[(i + 1) * stride]));
      c = combine(c, lift(data[(i + 2) * stride]));
      d = combine(d, lift(data[(i + 3) * stride]));
    }
    for (; i < count; ++i) a = combine(a, lift(data[i * stride]));
    return combine(combine(a, b), combine(c, d));
  }

  static void columns(const T* data, int64_t rows, int64_t row_stride, int64_t count,
                      int64_t stride, Accumulator* out) {
    if constexpr (std::is_same_v<T, float>) {
      if (stride == 1) {
        if constexpr (kind == ReduceKind::kSum)
          return sum_columns_f32(data, rows, row_stride, count, out);
        if constexpr (kind == ReduceKind::kMax)
          return max_columns_f32(data, rows, row_stride, count, out);
        if constexpr (kind == ReduceKind::kMin)
          return min_columns_f32(data, rows, row_stride, count, out);
      }
    }
    for (int64_t row = 0; row < rows; ++row) {
      const T* p = data + row * row_stride;
      if (stride == 1) {
        for (int64_t c = 0; c < count; ++c) out[c] = combine(out[c], lift(p[c]));
      } else {
        for (int64_t c = 0; c < count; ++c) out[c] = combine(out[c], lift(p[c * stride]));
      }
    }
  }
};

// The same with types erased, so that the walk is compiled once.
struct ReduceFunctions {
  size_t element_size;
  size_t accumulator_size;
  size_t result_size;
  void (*fill)(void* accumulators, int64_t count);
  void (*run)(const void* data, int64_t count, int64_t stride, void* accumulator);
  void (*columns)(const void* data, int64_t rows, int64_t row_stride, int64_t count, int64_t stride,
                  void* accumulators);
  void (*combine)(void* accumulators, const void* others, int64_t count);
  void (*store)(const void* accumulators, int64_t count, void* out, int64_t stride);
};

// Many rows of few columns: several rows side by side make one wide row, folded at the end.
template <class R, class T>
void narrow_columns(const T* data, int64_t rows, int64_t columns, typename R::Accumulator* out) {
  using A = typename R::Accumulator;
  const int64_t group = 64 / columns;
  const int64_t width = group * columns;
  A wide[64];
  std::fill_n(wide, width, R::identity());
  const int64_t groups = rows / group;
  R::columns(data, groups, width, width, 1, wide);
  for (int64_t i = 0; i < width; ++i) out[i % columns] = R::combine(out[i % columns], wide[i]);
  R::columns(data + groups * width, rows - groups * group, columns, columns, 1, out);
}

template <ReduceKind kind, class T>
ReduceFunctions functions_for() {
  using R = Reducer<kind, T>;
  using A = typename R::Accumulator;
  ReduceFunctions f;
  f.element_size = sizeof(T);
  f.accumulator_size = sizeof(A);
  f.result_size = sizeof(typename R::Result);
  f.fill = [](void* accumulators, int64_t count) {
    std::fill_n(static_cast<A*>(accumulators), count, R::identity());
  };
  f.run = [](const void* data, int64_t count, int64_t stride, void* accumulator) {
    A& a = *static_cast<A*>(accumulator);
    a = R::combine(a, R::run(static_cast<const T*>(data), count, stride));
  };
  f.columns = [](const void* data, int64_t rows, int64_t row_stride, int64_t count, int64_t stride,
                 void* accumulators) {
    const T* from = static_cast<const T*>(data);
    if (count <= 16 && row_stride == count && stride == 1 && rows >= 128) {
      narrow_columns<R>(from, rows, count, static_cast<A*>(accumulators));
    } else {
      R::columns(from, rows, row_stride, count, stride, static_cast<A*>(accumulators));
    }
  };
  f.combine = [](void* accumulators, const void* others, int64_t count) {
    A* a = static_cast<A*>(accumulators);
    const A* b = static_cast<const A*>(others);
    for (int64_t i = 0; i < count; ++i) a[i] = R::combine(a[i], b[i]);
  };
  f.store = [](const void* accumulators, int64_t count, void* out, int64_t stride) {
    const A* a = static_cast<const A*>(accumulators);
    auto* to = static_cast<typename R::Result*>(out);
    for (int64_t i = 0; i < count; ++i) to[i * stride] = narrow<typename R::Result>(a[i]);
  };
  return f;
}

ReduceFunctions functions_of(ReduceKind kind, DType dtype) {
  return visit_dtype(dtype, [kind](auto zero) {
    using T = decltype(zero);
    switch (kind) {
      case ReduceKind::kSum:
        return functions_for<ReduceKind::kSum, T>();
      case ReduceKind::kProd:
        return functions_for<ReduceKind::kProd, T>();
      case ReduceKind::kMax:
        return functions_for<ReduceKind::kMax, T>();
      case ReduceKind::kMin:
        return functions_for<ReduceKind::kMin, T>();
      case ReduceKind::kAny:
        return functions_for<ReduceKind::kAny, T>();
      case ReduceKind::kAll:
        break;
    }
    return functions_for<ReduceKind::kAll, T>();
  });
}

// Cuts loop `loop` to the part of `split` and returns the offset of that part.
int64_t cut(LoopDimension& loop, int64_t split, int64_t splits) {
  const int64_t begin = loop.size * split / splits;
  const int64_t end = loop.size * (split + 1) / splits;
  loop.size = end - begin;
  return begin * loop.in_stride;
}

/// What the accumulators of one part of a unit's work take.
size_t part_bytes(const ReduceFunctions& functions, const ReducePlan& plan) {
  const int64_t width = plan.inner.reduced ? 1 : std::min(kReduceTile, plan.inner.size);
  return static_cast<size_t>(width) * functions.accumulator_size;
}

/// A run on one operand.
class Reduction {
 public:
  Reduction(const ReduceFunctions& functions, const ReducePlan& plan, const void* data, void* out)
      : f_(functions),
        plan_(plan),
        data_(static_cast<const char*>(data)),
        out_(static_cast<char*>(out)) {}

  /// @param partial what the parts of a unit's work give, side by side; unused if there is one.
  void execute(int64_t grain, char* partial) const {
    if (plan_.splits == 1) {
      parallel_for(plan_.units, grain, [&](int64_t begin, int64_t end) {
        alignas(64) char accumulators[kReduceTile * 8];
        for (int64_t unit = begin; unit < end; ++unit) {
          accumulate(unit, 0, accumulators);
          store(unit, accumulators);
        }
      });
      return;
    }
    const size_t bytes = part_bytes(f_, plan_);
    parallel_for(plan_.units * plan_.splits, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        accumulate(task / plan_.splits, task % plan_.splits,
                   partial + static_cast<size_t>(task) * bytes);
      }
    });
    for (int64_t unit = 0; unit < plan_.units; ++unit) {
      char* first = partial + static_cast<size_t>(unit * plan_.splits) * bytes;
      const int64_t count = plan_.tile_width(unit % plan_.tiles);
      for (int64_t split = 1; split < plan_.splits; ++split) {
        f_.combine(first, first + static_cast<size_t>(split) * bytes, count);
      }
      store(unit, first);
    }
  }

 private:
  void accumulate(int64_t unit, int64_t split, char* accumulators) const {
    const int64_t tile = unit % plan_.tiles;
    int64_t offset = kept_offset(plan_.kept, unit / plan_.tiles).in;
    LoopDimensions reduced = plan_.reduced;
    LoopDimension inner = plan_.inner;
    if (plan_.splits > 1) {
      LoopDimension& loop =
          plan_.split_index < 0 ? inner : reduced[static_cast<size_t>(plan_.split_index)];
      offset += cut(loop, split, plan_.splits);
    }
    if (inner.reduced) {
      f_.fill(accumulators, 1);
      for_each_offset(reduced, 0, offset, [&](int64_t at) {
        f_.run(data_ + at * element_size(), inner.size, inner.in_stride, accumulators);
      });
      return;
    }
    const int64_t count = plan_.tile_width(tile);
    f_.fill(accumulators, count);
    LoopDimension rows{1, 0, 0, true};
    if (!reduced.empty()) {
      rows = reduced.back();
      reduced.pop_back();
    }
    offset += tile * kReduceTile * inner.in_stride;
    for_each_offset(reduced, 0, offset, [&](int64_t at) {
      f_.columns(data_ + at * element_size(), rows.size, rows.in_stride, count, inner.in_stride,
                 accumulators);
    });
  }

  void store(int64_t unit, const char* accumulators) const {
    const int64_t tile = unit % plan_.tiles;
    const int64_t offset = kept_offset(plan_.kept, unit / plan_.tiles).out +
                           (plan_.inner.reduced ? 0 : tile * kReduceTile * plan_.inner.out_stride);
    f_.store(accumulators, plan_.tile_width(tile),
             out_ + offset * static_cast<int64_t>(f_.result_size), plan_.inner.out_stride);
  }

  int64_t element_size() const { return static_cast<int64_t>(f_.element_size); }

  const ReduceFunctions& f_;
  const ReducePlan& plan_;
  const char* data_;
  char* out_;
};

}  // namespace

/// What does not depend on where the operand lies.
struct PlannedReduction::Parts {
  Parts(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
        std::span<const int64_t> strides, uint64_t axes_mask)
      : functions(functions_of(kind, dtype)), plan(plan_reduction(shape, strides, axes_mask)) {
    if (plan.units == 0) return;
    const int64_t per_unit = std::max<int64_t>(1, element_count(shape) / plan.units);
    grain = std::max<int64_t>(1, 32768 / per_unit);
  }

  size_t workspace_bytes() const {
    if (plan.splits == 1) return 0;
    return part_bytes(functions, plan) * static_cast<size_t>(plan.units * plan.splits);
  }
  void run(const void* data, void* out, void* workspace) const {
    if (plan.units == 0) return;
    Reduction(functions, plan, data, out).execute(grain, static_cast<char*>(workspace));
  }

  ReduceFunctions functions;
  ReducePlan plan;
  int64_t grain = 1;
};

PlannedReduction::PlannedReduction(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
                                   std::span<const int64_t> strides, uint64_t axes_mask)
    : parts_(std::make_unique<const Parts>(kind, dtype, shape, strides, axes_mask)) {}
PlannedReduction::~PlannedReduction() = default;
size_t PlannedReduction::workspace_bytes() const { return parts_->workspace_bytes(); }
void PlannedReduction::run(const void* data, void* out, void* workspace) const {
  parts_->run(data, out, workspace);
}

void reduce(ReduceKind kind, DType dtype, const void* data, std::span<const int64_t> shape,
            std::span<const int64_t> strides, uint64_t axes_mask, void* out, void* workspace) {
  PlannedReduction(kind, dtype, shape, strides, axes_mask).run(data, out, workspace);
}

size_t reduce_workspace(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
                        std::span<const int64_t> strides, uint64_t axes_mask) {
  return PlannedReduction(kind, dtype, shape, strides, axes_mask).workspace_bytes();
}

namespace {

constexpr int64_t kSquaresPart = 65536;

}  // namespace

size_t sum_of_squares_workspace(int64_t count) {
  return static_cast<size_t>((count + kSquaresPart - 1) / kSquaresPart) * sizeof(double);
}

double sum_of_squares(DType dtype, int64_t count, const void* data, void* workspace) {
  constexpr int64_t kPart = kSquaresPart;
  const int64_t parts = (count + kPart - 1) / kPart;
  double* const partial = static_cast<double*>(workspace);
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const T* from = static_cast<const T*>(data) + part * kPart;
        const int64_t size = std::min(kPart, count - part * kPart);
        double sum = 0;
        if constexpr (std::is_same_v<T, float>) {
          sum = sum_of_squares_run_f32(from, size);
        } else {
          for (int64_t i = 0; i < size; ++i) {
            const double value = static_cast<double>(widen(from[i]));
            sum += value * value;
          }
        }
        partial[part] = sum;
      }
    });
  });
  double total = 0;
  for (int64_t part = 0; part < parts; ++part) total += partial[part];
  return total;
}

}  // namespace linnet::cpu
