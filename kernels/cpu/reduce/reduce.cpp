#include "kernels/cpu/reduce/reduce.h"

#include <algorithm>
#include <array>
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
  using Chains = std::array<Accumulator, 4>;
  static Accumulator four_chains(const T* data, int64_t count, int64_t stride) {
    Chains chains;
    chains.fill(identity());
    extend_chains(chains, data, count, stride);
    return fold(chains);
  }
  static void extend_chains(Chains& chains, const T* data, int64_t count, int64_t stride) {
    auto [a, b, c, d] = chains;
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
      a = combine(a, lift(data[i * stride]));
      b = combine(b, lift(data[(i + 1) * stride]));
      c = combine(c, lift(data[(i + 2) * stride]));
      d = combine(d, lift(data[(i + 3) * stride]));
    }
    for (; i < count; ++i) a = combine(a, lift(data[i * stride]));
    chains = {a, b, c, d};
  }
  static Accumulator fold(const Chains& chains) {
    return combine(combine(chains[0], chains[1]), combine(chains[2], chains[3]));
  }

  // A run of dense elements in pieces, multiples of kRunPiece but for the last: what `run` holds in
  // registers.
  static constexpr bool kIsF32 = std::is_same_v<T, float>;
  static constexpr bool kExtreme = kind == ReduceKind::kMax || kind == ReduceKind::kMin;
  using Pieces = std::conditional_t<kIsF32 && kExtreme, ExtremeLanes, Chains>;
  static void begin(Pieces& pieces) {
    if constexpr (kIsF32 && kExtreme)
      kind == ReduceKind::kMax ? begin_max_f32(pieces) : begin_min_f32(pieces);
    else
      pieces.fill(identity());
  }
  static void extend(Pieces& pieces, const T* data, int64_t count) {
    if constexpr (kIsF32 && kExtreme) {
      kind == ReduceKind::kMax ? extend_max_f32(data, count, pieces)
                               : extend_min_f32(data, count, pieces);
    } else if constexpr (kIsF32 && kind == ReduceKind::kSum) {
      pieces[0] = sum_run_f32(data, count, pieces[0]);
    } else if constexpr (std::is_floating_point_v<Accumulator>) {
      extend_chains(pieces, data, count, 1);
    } else {
      pieces[0] = combine(pieces[0], run(data, count, 1));
    }
  }
  static Accumulator finish(const Pieces& pieces) {
    if constexpr (kIsF32 && kExtreme)
      return kind == ReduceKind::kMax ? finish_max_f32(pieces) : finish_min_f32(pieces);
    else if constexpr (std::is_floating_point_v<Accumulator> &&
                       !(kIsF32 && kind == ReduceKind::kSum))
      return fold(pieces);
    else
      return pieces[0];
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
  // The same as `run` for a run in pieces, which has its state in kPiecesBytes.
  void (*begin)(void* pieces);
  void (*extend)(void* pieces, const void* data, int64_t count);
  void (*finish)(const void* pieces, void* accumulator);
  void (*combine)(void* accumulators, const void* others, int64_t count);
  void (*store)(const void* accumulators, int64_t count, void* out, int64_t stride);
};

constexpr size_t kPiecesBytes = sizeof(ExtremeLanes);

bool is_narrow(int64_t rows, int64_t row_stride, int64_t count, int64_t stride) {
  return count <= 16 && row_stride == count && stride == 1 && rows >= 128;
}

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
    if (is_narrow(rows, row_stride, count, stride)) {
      narrow_columns<R>(from, rows, count, static_cast<A*>(accumulators));
    } else {
      R::columns(from, rows, row_stride, count, stride, static_cast<A*>(accumulators));
    }
  };
  using Pieces = typename R::Pieces;
  static_assert(sizeof(Pieces) <= kPiecesBytes);
  f.begin = [](void* pieces) { R::begin(*static_cast<Pieces*>(pieces)); };
  f.extend = [](void* pieces, const void* data, int64_t count) {
    R::extend(*static_cast<Pieces*>(pieces), static_cast<const T*>(data), count);
  };
  f.finish = [](const void* pieces, void* accumulator) {
    A& a = *static_cast<A*>(accumulator);
    a = R::combine(a, R::finish(*static_cast<const Pieces*>(pieces)));
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

/// Where the elements of an operand in memory are.
class Memory {
 public:
  Memory(const ReduceFunctions& functions, const void* data)
      : f_(functions), data_(static_cast<const char*>(data)) {}

  static constexpr bool kHasRows = false;
  void rows(int64_t, const LoopDimension&, int64_t, char*) const {}
  void run(int64_t at, const LoopDimension& inner, char* accumulator) const {
    f_.run(address(at), inner.size, inner.in_stride, accumulator);
  }
  void columns(int64_t at, const LoopDimension& rows, int64_t count, int64_t stride,
               char* accumulators) const {
    f_.columns(address(at), rows.size, rows.in_stride, count, stride, accumulators);
  }

 private:
  const char* address(int64_t at) const {
    return data_ + at * static_cast<int64_t>(f_.element_size);
  }

  const ReduceFunctions& f_;
  const char* data_;
};

/// Elements that are computed on the way, into a scratch that stays in the caches.
class Computed {
 public:
  Computed(const ReduceFunctions& functions, const ElementSource& source)
      : f_(functions), source_(source) {}

  /// Runs of one piece that follow each other, with an accumulator each.
  static constexpr bool kHasRows = true;
  void rows(int64_t at, const LoopDimension& row, int64_t count, char* accumulators) const {
    alignas(64) char scratch[kRunPiece * kWidest];
    const auto* data = static_cast<const char*>(source_.elements(at, count * row.size, scratch));
    f_.fill(accumulators, count);
    for (int64_t i = 0; i < count; ++i) {
      f_.run(data + i * row.size * static_cast<int64_t>(f_.element_size), row.size, 1,
             accumulators + i * static_cast<int64_t>(f_.accumulator_size));
    }
  }
  void run(int64_t at, const LoopDimension& inner, char* accumulator) const {
    alignas(64) char pieces[kPiecesBytes];
    alignas(64) char scratch[kRunPiece * kWidest];
    f_.begin(pieces);
    for (int64_t done = 0; done < inner.size; done += kRunPiece) {
      const int64_t count = std::min(kRunPiece, inner.size - done);
      f_.extend(pieces, source_.elements(at + done, count, scratch), count);
    }
    f_.finish(pieces, accumulator);
  }

  void columns(int64_t at, const LoopDimension& rows, int64_t count, int64_t stride,
               char* accumulators) const {
    alignas(64) char scratch[kScratch];
    if (rows.size == 0) return;
    if (stride != 1) return short_rows(at, rows, count, accumulators, scratch);
    const auto size = static_cast<int64_t>(f_.element_size);
    // As many rows as a block of sums in float has, and as many columns as fit beside them.
    const int64_t height = std::min(kBlockRows, rows.size);
    const int64_t most = std::max<int64_t>(64, kScratch / (height * size) / 64 * 64);
    for (int64_t row = 0; row < rows.size; row += height) {
      const LoopDimension block{std::min(height, rows.size - row), rows.in_stride, 0, true};
      for (int64_t c = 0; c < count; c += most) {
        table(at + row * rows.in_stride + c, block, std::min(most, count - c),
              accumulators + c * static_cast<int64_t>(f_.accumulator_size), scratch);
      }
    }
  }

 private:
  static constexpr int64_t kWidest = 8;  // bytes of an element
  static constexpr int64_t kBlockRows = 128;
  static constexpr int64_t kScratch = kBlockRows * 64 * kWidest;

  /// A table of rows; of all of a row, or part of it.
  void table(int64_t at, const LoopDimension& rows, int64_t count, char* accumulators,
             char* scratch) const {
    if (rows.in_stride == count) {
      const void* data = source_.elements(at, rows.size * count, scratch);
      return f_.columns(data, rows.size, count, count, 1, accumulators);
    }
    const auto size = static_cast<int64_t>(f_.element_size);
    const void* data = scratch;
    // Apart from the end of the row before, so that the table is not taken for one of few columns.
    const int64_t distance = std::max<int64_t>(count, 32);
    for (int64_t row = 0; row < rows.size; ++row) {
      const void* part =
          source_.elements(at + row * rows.in_stride, count, scratch + row * distance * size);
      if (row == 0) data = part;
    }
    f_.columns(data, rows.size, source_.has_memory() ? rows.in_stride : distance, count, 1,
               accumulators);
  }

  /// The columns are short runs that follow each other.
  void short_rows(int64_t at, const LoopDimension& run, int64_t count, char* accumulators,
                  char* scratch) const {
    const int64_t most = kRunPiece / run.size;
    for (int64_t c = 0; c < count; c += most) {
      const int64_t part = std::min(most, count - c);
      const void* data = source_.elements(at + c * run.size, part * run.size, scratch);
      f_.columns(data, run.size, 1, part, run.size,
                 accumulators + c * static_cast<int64_t>(f_.accumulator_size));
    }
  }

  const ReduceFunctions& f_;
  const ElementSource& source_;
};

/// A run on one operand.
template <class Operand>
class Reduction {
 public:
  Reduction(const ReduceFunctions& functions, const ReducePlan& plan, const Operand& operand,
            void* out)
      : f_(functions), plan_(plan), operand_(operand), out_(static_cast<char*>(out)) {}

  /// @param partial what the parts of a unit's work give, side by side; unused if there is one.
  void execute(int64_t grain, char* partial) const {
    if (plan_.splits == 1) {
      parallel_for(plan_.units, grain, [&](int64_t begin, int64_t end) {
        alignas(64) char accumulators[kReduceTile * 8];
        for (int64_t unit = begin; unit < end;) {
          const int64_t count = rows_together(unit, end);
          if (count > 1) {
            const LoopDimension row = plan_.inner;
            operand_.rows(unit * row.size, row, count, accumulators);
            f_.store(accumulators, count, result_of(unit), plan_.kept[0].out_stride);
          } else {
            accumulate(unit, 0, accumulators);
            store(unit, accumulators);
          }
          unit += count;
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
  /// Of units from this one on, how many are short rows that follow each other.
  int64_t rows_together(int64_t unit, int64_t end) const {
    if (!Operand::kHasRows || !plan_.inner.reduced || !plan_.reduced.empty()) return 1;
    const int64_t size = plan_.inner.size;
    if (plan_.kept.size() != 1 || plan_.kept[0].in_stride != size || size == 0) return 1;
    return std::clamp<int64_t>(kRunPiece / size, 1, end - unit);
  }

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
      for_each_offset(reduced, 0, offset,
                      [&](int64_t at) { operand_.run(at, inner, accumulators); });
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
      operand_.columns(at, rows, count, inner.in_stride, accumulators);
    });
  }

  char* result_of(int64_t unit) const {
    const int64_t tile = unit % plan_.tiles;
    const int64_t offset = kept_offset(plan_.kept, unit / plan_.tiles).out +
                           (plan_.inner.reduced ? 0 : tile * kReduceTile * plan_.inner.out_stride);
    return out_ + offset * static_cast<int64_t>(f_.result_size);
  }

  void store(int64_t unit, const char* accumulators) const {
    f_.store(accumulators, plan_.tile_width(unit % plan_.tiles), result_of(unit),
             plan_.inner.out_stride);
  }

  const ReduceFunctions& f_;
  const ReducePlan& plan_;
  const Operand operand_;
  char* out_;
};

}  // namespace

/// What does not depend on where the operand lies.
struct PlannedReduction::Parts {
  Parts(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
        std::span<const int64_t> strides, uint64_t axes_mask)
      : functions(functions_of(kind, dtype)),
        plan(plan_reduction(shape, strides, axes_mask)),
        is_dense(linnet::is_dense(shape, strides)) {
    if (plan.units == 0) return;
    const int64_t per_unit = std::max<int64_t>(1, element_count(shape) / plan.units);
    grain = std::max<int64_t>(1, 32768 / per_unit);
  }

  size_t workspace_bytes() const {
    if (plan.splits == 1) return 0;
    return part_bytes(functions, plan) * static_cast<size_t>(plan.units * plan.splits);
  }
  template <class Operand>
  void run(const Operand& operand, void* out, void* workspace) const {
    if (plan.units == 0) return;
    Reduction(functions, plan, operand, out).execute(grain, static_cast<char*>(workspace));
  }
  bool takes_source() const {
    const LoopDimension& inner = plan.inner;
    if (inner.reduced) return inner.in_stride == 1 || inner.size == 1;
    const LoopDimension rows =
        plan.reduced.empty() ? LoopDimension{1, 0, 0, true} : plan.reduced.back();
    if (inner.in_stride != 1) {
      return plan.splits == 1 && rows.in_stride == 1 && inner.in_stride == rows.size &&
             rows.size <= kRunPiece;
    }
    return !is_narrow(rows.size, rows.in_stride, inner.size, 1);
  }

  ReduceFunctions functions;
  ReducePlan plan;
  bool is_dense;
  int64_t grain = 1;
};

PlannedReduction::PlannedReduction(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
                                   std::span<const int64_t> strides, uint64_t axes_mask)
    : parts_(std::make_unique<const Parts>(kind, dtype, shape, strides, axes_mask)) {}
PlannedReduction::~PlannedReduction() = default;
size_t PlannedReduction::workspace_bytes() const { return parts_->workspace_bytes(); }
void PlannedReduction::run(const void* data, void* out, void* workspace) const {
  parts_->run(Memory(parts_->functions, data), out, workspace);
}
bool PlannedReduction::takes_source() const { return parts_->is_dense && parts_->takes_source(); }
void PlannedReduction::run(const ElementSource& source, void* out, void* workspace) const {
  parts_->run(Computed(parts_->functions, source), out, workspace);
}
int64_t PlannedReduction::parts() const {
  if (parts_->plan.splits > 1) return parts_->plan.units * parts_->plan.splits;
  return (parts_->plan.units + parts_->grain - 1) / parts_->grain;
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
