// Chooses the way to compute a product and cuts it into tasks; compiled once per instruction set.
#include "kernels/cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/cpu/gemm/epilogue.h"
#include "kernels/cpu/gemm/parallel.h"

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm/gemm.cpp"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "kernels/cpu/gemm/micro_kernel-inl.h"
#include "kernels/cpu/gemm/row-inl.h"

#ifndef LINNET_GEMM_CONSTANTS
#define LINNET_GEMM_CONSTANTS
namespace linnet::cpu::gemm_kernels {
namespace {

// A block of A (kBlockRows x kBlockDepth) and one of B (kBlockDepth x kBlockColumns) share the
// second-level cache; a strip of the latter fits into the first level. kBlockColumns is a multiple
// of three vectors and kBlockRows of the rows of a micro kernel on every instruction set.
constexpr int64_t kBlockRows = 96;
constexpr int64_t kBlockColumns = 384;
template <class T>
constexpr int64_t kBlockDepth = 1536 / sizeof(T);

// Elements of B up to which it is read in place.
constexpr int64_t kInPlaceElements = 64 * 64;

enum class Way { kRow, kInPlace, kPacked };

Way choose(const GemmProblem& p) {
  if (p.b_panels) return Way::kPacked;
  if (p.m == 1 && (p.b_column == 1 || p.b_row == 1)) return Way::kRow;
  return p.b_column == 1 && p.n * p.k <= kInPlaceElements ? Way::kInPlace : Way::kPacked;
}

// Offsets of a batch in elements of each operand.
struct BatchOffset {
  int64_t a = 0, b = 0, out = 0;
};

BatchOffset batch_offset(const GemmProblem& p, int64_t index) {
  BatchOffset offset;
  for (size_t i = p.batch.size(); i-- > 0;) {
    const int64_t position = index % p.batch[i];
    index /= p.batch[i];
    offset.a += position * p.a_batch[i];
    offset.b += position * p.b_batch[i];
    offset.out += position * p.out_batch[i];
  }
  return offset;
}

template <class T>
struct Job {
  const GemmProblem* problem;
  const GemmOperands<T>* operands;
  T* workspace;
  int64_t chunk;  // rows (in place) or columns (row) per task
  int64_t tasks_per_batch;
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace
}  // namespace linnet::cpu::gemm_kernels
#endif  // LINNET_GEMM_CONSTANTS

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::gemm_kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline bool is_simple(Activation activation) {
  return !activation || activation == ScalarOp::kRelu;
}

template <class T>
T lower_bound_of(Activation activation) {
  return activation == ScalarOp::kRelu ? T(0) : -std::numeric_limits<T>::infinity();
}

/// Activation and residual of a finished block whose sums (with bias) are stored.
template <class T>
void finish_block(const GemmProblem& p, T* out, const T* residual, int64_t rows, int64_t columns) {
  if (columns == p.out_row) columns *= rows, rows = 1;
  for (int64_t i = 0; i < rows; ++i) {
    finish_row(p.activation, out + i * p.out_row, residual ? residual + i * p.out_row : nullptr,
               columns);
  }
}

template <class T>
void in_place_task(const void* context, int64_t index, int) {
  const Job<T>& job = *static_cast<const Job<T>*>(context);
  const GemmProblem& p = *job.problem;
  const BatchOffset at = batch_offset(p, index / job.tasks_per_batch);
  const int64_t row = index % job.tasks_per_batch * job.chunk;
  const int64_t rows = std::min(job.chunk, p.m - row);
  const bool simple = is_simple(p.activation);
  T* out = job.operands->out + at.out + row * p.out_row;
  const T* residual = p.has_residual ? job.operands->residual + at.out + row * p.out_row : nullptr;

  const int64_t strip = kMaxVectors * static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  Block<T> block{.a = job.operands->a + at.a + row * p.a_row,
                 .a_row = p.a_row,
                 .a_column = p.a_column,
                 .b = nullptr,
                 .b_row = p.b_row,
                 .out = nullptr,
                 .out_row = p.out_row,
                 .k = p.k,
                 .bias = nullptr,
                 .bias_is_scalar = p.bias_is_scalar,
                 .accumulate = false,
                 .residual = nullptr,
                 .lower = lower_bound_of<T>(p.activation)};
  for (int64_t j = 0; j < p.n; j += strip) {
    block.b = job.operands->b + at.b + j;
    block.out = out + j;
    if (p.has_bias) block.bias = job.operands->bias + (p.bias_is_scalar ? 0 : j);
    if (simple && residual) block.residual = residual + j;
    column_strip(block, rows, std::min(strip, p.n - j));
  }
  if (!simple) finish_block(p, out, residual, rows, p.n);
}

template <class T>
void row_task(const void* context, int64_t index, int) {
  const Job<T>& job = *static_cast<const Job<T>*>(context);
  const GemmProblem& p = *job.problem;
  const BatchOffset at = batch_offset(p, index / job.tasks_per_batch);
  const int64_t column = index % job.tasks_per_batch * job.chunk;
  const int64_t columns = std::min(job.chunk, p.n - column);
  const int64_t batch = index / job.tasks_per_batch;
  const T* x = p.a_column == 1 ? job.operands->a + at.a : job.workspace + batch * p.k;
  const T* b = job.operands->b + at.b + column * p.b_column;
  T* out = job.operands->out + at.out + column;
  const T* bias = job.operands->bias;
  for (int64_t j = 0; j < columns; ++j) {
    out[j] = !p.has_bias ? T(0) : p.bias_is_scalar ? bias[0] : bias[column + j];
  }
  if (p.b_column == 1) {
    add_row_times_matrix(x, p.k, b, p.b_row, out, columns);
  } else {
    add_row_times_columns(x, p.k, b, p.b_column, out, columns);
  }
  const T* residual = p.has_residual ? job.operands->residual + at.out + column : nullptr;
  if (residual || p.activation) finish_row(p.activation, out, residual, columns);
}

/// Panels of `kMaxRows` rows, each stored [depth][kMaxRows].
template <class T>
void pack_a(const T* a, int64_t a_row, int64_t a_column, int64_t rows, int64_t depth, T* packed) {
  for (int64_t i = 0; i < rows; i += kMaxRows, packed += depth * kMaxRows) {
    const int64_t count = std::min<int64_t>(kMaxRows, rows - i);
    const T* source = a + i * a_row;
    for (int64_t p = 0; p < depth; ++p) {
      for (int64_t r = 0; r < count; ++r)
        packed[p * kMaxRows + r] = source[p * a_column + r * a_row];
    }
  }
}

/// Panels of `strip` columns, each stored [depth][strip].
template <class T>
void pack_b(const T* b, int64_t b_row, int64_t b_column, int64_t columns, int64_t depth,
            int64_t strip, T* packed) {
  constexpr int64_t kRun = 16;
  for (int64_t j = 0; j < columns; j += strip, packed += depth * strip) {
    const int64_t count = std::min(strip, columns - j);
    const T* source = b + j * b_column;
    if (b_column == 1) {
      for (int64_t p = 0; p < depth; ++p) {
        std::memcpy(packed + p * strip, source + p * b_row, static_cast<size_t>(count) * sizeof(T));
      }
      continue;
    }
    for (int64_t p = 0; p < depth; p += kRun) {
      const int64_t end = std::min(depth, p + kRun);
      for (int64_t c = 0; c < count; ++c) {
        for (int64_t q = p; q < end; ++q) packed[q * strip + c] = source[q * b_row + c * b_column];
      }
    }
  }
}

/// One tile of the result: its first row and column and its size.
template <class T>
struct Tile {
  int64_t row, column, rows, columns;
  T* out;
  const T* residual;
};

/// Adds the product of a packed block of A, `block_rows` from row `i` of the tile, and the packed
/// strips of B, which are `panel` elements apart.
template <class T>
void multiply_packed(const Job<T>& job, const Tile<T>& tile, const T* left, const T* right,
                     int64_t panel, int64_t depth, int64_t strip, int64_t i, int64_t block_rows,
                     bool first, bool finish) {
  const GemmProblem& p = *job.problem;
  const bool add_residual = finish && tile.residual;
  for (int64_t j = 0; j < tile.columns; j += strip) {
    Block<T> block{.a = left,
                   .a_row = 1,
                   .a_column = kMaxRows,
                   .b = right + j / strip * panel,
                   .b_row = strip,
                   .out = tile.out + i * p.out_row + j,
                   .out_row = p.out_row,
                   .k = depth,
                   .bias = nullptr,
                   .bias_is_scalar = p.bias_is_scalar,
                   .accumulate = !first,
                   .residual = add_residual ? tile.residual + i * p.out_row + j : nullptr,
                   .lower = lower_bound_of<T>(finish ? p.activation : Activation())};
    if (p.has_bias) block.bias = job.operands->bias + (p.bias_is_scalar ? 0 : tile.column + j);
    for (int64_t r = 0; r < block_rows; r += kMaxRows) {
      column_strip(block, std::min<int64_t>(kMaxRows, block_rows - r),
                   std::min(strip, tile.columns - j));
      block.a += kMaxRows * depth;
      block.out += kMaxRows * p.out_row;
      if (add_residual) block.residual += kMaxRows * p.out_row;
    }
  }
}

template <class T>
Tile<T> tile_of(const Job<T>& job, int64_t index, const BatchOffset& at) {
  const GemmProblem& p = *job.problem;
  const int64_t column_tiles = divide_up(p.n, kBlockColumns);
  Tile<T> tile;
  tile.row = index / column_tiles * job.chunk;
  tile.column = index % column_tiles * kBlockColumns;
  tile.rows = std::min(job.chunk, p.m - tile.row);
  tile.columns = std::min(kBlockColumns, p.n - tile.column);
  const int64_t start = at.out + tile.row * p.out_row + tile.column;
  tile.out = job.operands->out + start;
  tile.residual = p.has_residual ? job.operands->residual + start : nullptr;
  return tile;
}

template <class T>
void packed_task(const void* context, int64_t index, int thread) {
  const Job<T>& job = *static_cast<const Job<T>*>(context);
  const GemmProblem& p = *job.problem;
  const BatchOffset at = batch_offset(p, index / job.tasks_per_batch);
  const Tile<T> tile = tile_of(job, index % job.tasks_per_batch, at);
  const bool simple = is_simple(p.activation);
  const int64_t strip = kMaxVectors * static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  T* left = job.workspace + thread * (kBlockRows + kBlockColumns) * kBlockDepth<T>;
  T* right = left + kBlockRows * kBlockDepth<T>;
  for (int64_t k = 0; k < p.k; k += kBlockDepth<T>) {
    const int64_t depth = std::min(kBlockDepth<T>, p.k - k);
    const T* panels = right;
    if (p.b_panels) {
      panels = job.operands->b + tile.column * p.k + k * strip;
    } else {
      const T* b = job.operands->b + at.b + k * p.b_row + tile.column * p.b_column;
      pack_b(b, p.b_row, p.b_column, tile.columns, depth, strip, right);
    }
    const int64_t panel = (p.b_panels ? p.k : depth) * strip;
    for (int64_t i = 0; i < tile.rows; i += kBlockRows) {
      const int64_t block_rows = std::min(kBlockRows, tile.rows - i);
      const T* a = job.operands->a + at.a + (tile.row + i) * p.a_row + k * p.a_column;
      pack_a(a, p.a_row, p.a_column, block_rows, depth, left);
      multiply_packed(job, tile, left, panels, panel, depth, strip, i, block_rows, k == 0,
                      simple && k + depth == p.k);
    }
  }
  if (!simple) finish_block(p, tile.out, tile.residual, tile.rows, tile.columns);
}

template <class T>
void run_row(Job<T>& job, int threads) {
  const GemmProblem& p = *job.problem;
  const int64_t batches = p.batch_count();
  job.chunk = p.n;
  if (threads > 1 && batches < threads) {
    constexpr int64_t kGrain = 64;
    job.chunk = divide_up(divide_up(p.n, threads), kGrain) * kGrain;
  }
  job.tasks_per_batch = divide_up(p.n, job.chunk);
  if (p.a_column != 1) {
    for (int64_t i = 0; i < batches; ++i) {
      const T* x = job.operands->a + batch_offset(p, i).a;
      for (int64_t q = 0; q < p.k; ++q) job.workspace[i * p.k + q] = x[q * p.a_column];
    }
  }
  run_tasks(batches * job.tasks_per_batch, threads, row_task<T>, &job);
}

template <class T>
void run(const GemmProblem& p, const GemmOperands<T>& operands, void* workspace, int threads) {
  if (p.work() < kParallelWork) threads = 1;
  Job<T> job{&p, &operands, static_cast<T*>(workspace), p.m, 1};
  switch (choose(p)) {
    case Way::kRow:
      return run_row(job, threads);
    case Way::kInPlace:
      if (threads > 1 && p.batch_count() < threads) {
        job.chunk = divide_up(divide_up(p.m, threads), kMaxRows) * kMaxRows;
      }
      job.tasks_per_batch = divide_up(p.m, job.chunk);
      return run_tasks(p.batch_count() * job.tasks_per_batch, threads, in_place_task<T>, &job);
    case Way::kPacked:
      break;
  }
  const int64_t column_tiles = divide_up(p.n, kBlockColumns);
  const int64_t tiles_before = p.batch_count() * column_tiles;
  // About four tasks per thread, of whole blocks of rows if there are enough.
  const int64_t wanted = threads == 1 ? 1 : divide_up(4 * threads, tiles_before);
  job.chunk = std::max<int64_t>(divide_up(divide_up(p.m, wanted), kMaxRows) * kMaxRows, kMaxRows);
  if (job.chunk > kBlockRows) job.chunk = divide_up(job.chunk, kBlockRows) * kBlockRows;
  job.tasks_per_batch = divide_up(p.m, job.chunk) * column_tiles;
  run_tasks(p.batch_count() * job.tasks_per_batch, threads, packed_task<T>, &job);
}

int64_t panel_columns(DType dtype) {
  const size_t lanes = dtype == DType::kF64 ? hn::Lanes(hn::ScalableTag<double>())
                                            : hn::Lanes(hn::ScalableTag<float>());
  return kMaxVectors * static_cast<int64_t>(lanes);
}
void run_f32(const GemmProblem& p, const GemmOperands<float>& o, void* w, int threads) {
  run(p, o, w, threads);
}
void run_f64(const GemmProblem& p, const GemmOperands<double>& o, void* w, int threads) {
  run(p, o, w, threads);
}

struct Bf16Job {
  const GemmProblem* problem;
  const Bf16RowOperands* operands;
  const float* x;
  float* sums;
  int64_t chunk;
};

inline float element(const void* values, DType dtype, int64_t i) {
  return dtype == DType::kF32 ? static_cast<const float*>(values)[i]
                              : static_cast<float>(static_cast<const bfloat16*>(values)[i]);
}

void bf16_row_task(const void* context, int64_t index, int) {
  const Bf16Job& job = *static_cast<const Bf16Job*>(context);
  const GemmProblem& p = *job.problem;
  const Bf16RowOperands& operands = *job.operands;
  const int64_t column = index * job.chunk, columns = std::min(job.chunk, p.n - column);
  float* sums = job.sums + column;
  for (int64_t j = 0; j < columns; ++j) {
    sums[j] = p.has_bias
                  ? element(operands.bias, operands.bias_dtype, p.bias_is_scalar ? 0 : column + j)
                  : 0.0f;
  }
  if (p.b_column == 1) {
    add_row_times_matrix(job.x, p.k, operands.b + column, p.b_row, sums, columns);
  } else {
    add_row_times_columns(job.x, p.k, operands.b + column * p.b_column, p.b_column, sums, columns);
  }
  if (p.activation) finish_row(p.activation, sums, nullptr, columns);
  if (p.has_residual) {
    for (int64_t j = 0; j < columns; ++j)
      sums[j] += element(operands.residual, operands.out_dtype, column + j);
  }
  if (operands.out_dtype == DType::kF32) return;
  bfloat16* out = static_cast<bfloat16*>(operands.out) + column;
  for (int64_t j = 0; j < columns; ++j) out[j] = bfloat16(sums[j]);
}

void run_bf16_row(const GemmProblem& p, const Bf16RowOperands& operands, void* workspace,
                  int threads) {
  float* x = static_cast<float*>(workspace);
  float* sums = operands.out_dtype == DType::kF32 ? static_cast<float*>(operands.out) : x + p.k;
  for (int64_t q = 0; q < p.k; ++q) x[q] = static_cast<float>(operands.a[q * p.a_column]);
  if (p.work() < kParallelWork) threads = 1;
  constexpr int64_t kGrain = 64;
  const Bf16Job job{&p, &operands, x, sums, divide_up(divide_up(p.n, threads), kGrain) * kGrain};
  run_tasks(divide_up(p.n, job.chunk), threads, bf16_row_task, &job);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu::gemm_kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {
namespace gemm_kernels {
HWY_EXPORT(panel_columns);
HWY_EXPORT(run_f32);
HWY_EXPORT(run_f64);
HWY_EXPORT(run_bf16_row);
}  // namespace gemm_kernels

size_t gemm_workspace_bytes(const GemmProblem& p, DType dtype, int threads) {
  using namespace gemm_kernels;
  switch (choose(p)) {
    case Way::kRow:
      return p.a_column == 1 ? 0 : static_cast<size_t>(p.batch_count() * p.k) * size_of(dtype);
    case Way::kInPlace:
      return 0;
    case Way::kPacked:
      break;
  }
  // kBlockDepth is a number of bytes, so one thread needs the same for every type.
  constexpr size_t kBytes = (kBlockRows + kBlockColumns) * kBlockDepth<float> * sizeof(float);
  return kBytes * static_cast<size_t>(p.work() < kParallelWork ? 1 : threads);
}

int64_t gemm_panel_columns(DType dtype) {
  using namespace gemm_kernels;
  return HWY_DYNAMIC_DISPATCH(panel_columns)(dtype);
}

void gemm(const GemmProblem& p, const GemmOperands<float>& operands, void* workspace, int threads) {
  using namespace gemm_kernels;
  HWY_DYNAMIC_DISPATCH(run_f32)(p, operands, workspace, threads);
}

void gemm(const GemmProblem& p, const GemmOperands<double>& operands, void* workspace,
          int threads) {
  using namespace gemm_kernels;
  HWY_DYNAMIC_DISPATCH(run_f64)(p, operands, workspace, threads);
}

void gemm_bf16_row(const GemmProblem& p, const Bf16RowOperands& operands, void* workspace,
                   int threads) {
  using namespace gemm_kernels;
  HWY_DYNAMIC_DISPATCH(run_bf16_row)(p, operands, workspace, threads);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
