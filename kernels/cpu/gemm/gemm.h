// Matrix products of our own, f32 and f64: any strides, any size, tiny ones without overhead.
// They take what oneDNN does not (f64, strided inner dimensions) or does slowly (small products,
// one row times a matrix).
//
//   GemmProblem p{.batch = {}, .m = 8, .n = 16, .k = 16, .a_row = 16, .a_column = 1,
//                 .b_row = 16, .b_column = 1, .out_row = 16};
//   p = canonical(p);
//   gemm(p, {.a = a, .b = b, .out = out}, workspace);    // gemm_workspace_bytes(p, kF32, threads)
//   bytes
#pragma once

#include <cstddef>

#include "core/ops/scalar_functions.h"
#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu {

/// out[b, i, j] = activation(sum_p a[b, i, p] b[b, p, j] + bias[j]) + residual[b, i, j].
/// All strides count elements. Columns of `out` and `residual` are contiguous, and both have the
/// same strides. A batch stride of 0 repeats the operand.
struct GemmProblem {
  Shape batch;
  Strides a_batch, b_batch, out_batch;
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_column = 0;
  int64_t b_row = 0, b_column = 0;
  int64_t out_row = 0;
  bool has_bias = false;
  bool has_residual = false;
  /// The bias is one value for all columns of a row block (set by `canonical` when it transposes).
  bool bias_is_scalar = false;
  Activation activation = {};
  /// B lies in panels of `gemm_panel_columns` columns, [ceil(n / columns), k, columns], so that
  /// nothing need be packed; its strides mean nothing then. No batch.
  bool b_panels = false;

  int64_t batch_count() const { return element_count(batch); }
  /// Multiply-adds of all batches together.
  int64_t work() const { return batch_count() * m * n * k; }
};

/// Multiply-adds below which a second thread costs more than it brings.
inline constexpr int64_t kParallelWork = int64_t{1} << 19;

/// The same problem with batch dimensions of size 1 removed, neighbouring ones merged where the
/// strides allow, the innermost one folded into the rows if B does not depend on it, and a single
/// column turned into a single row. Strides of dimensions of size 1 become ordinary ones.
GemmProblem canonical(GemmProblem problem);

/// As `canonical` but a single column stays one. This is what libraries are asked with.
GemmProblem merge_batches(GemmProblem problem);

template <class T>
struct GemmOperands {
  const T* a = nullptr;
  const T* b = nullptr;
  T* out = nullptr;
  const T* bias = nullptr;
  const T* residual = nullptr;
};

/// Scratch memory `gemm` needs for this canonical problem on up to `threads` threads.
size_t gemm_workspace_bytes(const GemmProblem& problem, DType dtype, int threads);

/// Columns of a panel of B on this machine, for f32 or f64.
int64_t gemm_panel_columns(DType dtype);

/// Computes a canonical problem. `workspace` is aligned to 64 bytes and holds
/// `gemm_workspace_bytes(problem, dtype, threads)` bytes. Sums run over p in ascending order within
/// blocks; the result does not depend on the number of threads.
void gemm(const GemmProblem& problem, const GemmOperands<float>& operands, void* workspace,
          int threads);
void gemm(const GemmProblem& problem, const GemmOperands<double>& operands, void* workspace,
          int threads);

/// One row times a matrix of bfloat16, accumulated in f32 (m = 1, no batch): the shape of token by
/// token decoding. `out` and `residual` have `out_dtype`, `bias` has `bias_dtype`: bf16 or f32.
struct Bf16RowOperands {
  const bfloat16* a = nullptr;
  const bfloat16* b = nullptr;
  void* out = nullptr;
  const void* bias = nullptr;
  const void* residual = nullptr;
  DType out_dtype = DType::kBF16;
  DType bias_dtype = DType::kF32;
};
/// Needs `(n + k) * sizeof(float)` bytes of workspace.
void gemm_bf16_row(const GemmProblem& problem, const Bf16RowOperands& operands, void* workspace,
                   int threads);

}  // namespace linnet::cpu
