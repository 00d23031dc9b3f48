#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/gemm/parallel.h"
#include "kernels/cpu/onednn/compat.h"
#include "kernels/cpu/onednn/epilogue.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/onednn/parts.h"
#include "kernels/cpu/onednn/pipeline.h"
#include "kernels/cpu/onednn/process_end.h"
#include "kernels/cpu/onednn/thread_scope.h"
#include "linnet/deterministic.h"
#include "linnet/parallel.h"

namespace linnet::cpu::onednn {
namespace {

// Below this many multiply-adds of one product the call and the packing of oneDNN cost more than
// the product; measured by benchmarks/workshop/onednn_matmul.cpp.
constexpr int64_t kSmallProduct = 32 * 32 * 32;
constexpr int64_t kSmallPackedProduct = 16 * 16 * 16;

std::string reason_to_decline(const MatmulSpec& s) {
  const bool known = s.dtype == DType::kF32 || s.dtype == DType::kF64 || s.dtype == DType::kBF16;
  if (!known) return fmt::format("dtype {}", name_of(s.dtype));
  const bool result_known =
      s.out_dtype == s.dtype || (s.dtype == DType::kBF16 && s.out_dtype == DType::kF32);
  if (!result_known)
    return fmt::format("result dtype {} of {}", name_of(s.out_dtype), name_of(s.dtype));
  if (s.has_bias && s.bias_dtype != s.out_dtype &&
      (s.bias_dtype != DType::kF32 || s.dtype == DType::kF64)) {
    return fmt::format("bias dtype {}", name_of(s.bias_dtype));
  }
  if (s.m < 1 || s.n < 1 || s.k < 1 || element_count(s.batch) < 1) return "an empty operand";
  if (!s.out_strides.empty() && s.n > 1 && s.out_strides.back() != 1)
    return "columns of the result apart";
  return {};
}

GemmProblem problem_of(const MatmulSpec& s) {
  const size_t rank = s.batch.size();
  Strides out = s.out_strides;
  if (out.empty()) {
    Shape shape = s.batch;
    shape.push_back(s.m);
    shape.push_back(s.n);
    int64_t step = 1;
    out.resize(rank + 2);
    for (size_t i = rank + 2; i-- > 0;) {
      out[i] = step;
      step *= shape[i];
    }
  }
  GemmProblem p;
  p.batch = s.batch;
  p.a_batch = Strides(std::span(s.a_strides.data(), rank));
  p.b_batch = Strides(std::span(s.b_strides.data(), rank));
  p.out_batch = Strides(std::span(out.data(), rank));
  p.m = s.m, p.n = s.n, p.k = s.k;
  p.a_row = s.a_strides[rank], p.a_column = s.a_strides[rank + 1];
  p.b_row = s.b_strides[rank], p.b_column = s.b_strides[rank + 1];
  p.out_row = out[rank];
  p.has_bias = s.has_bias, p.has_residual = s.has_residual;
  p.activation = s.activation;
  return p;
}

template <class T>
class OwnMatmul final : public Prepared {
 public:
  explicit OwnMatmul(GemmProblem problem)
      : problem_(std::move(problem)), threads_(available_threads()) {
    implementation_ = "own gemm";
  }
  size_t workspace_bytes() const override {
    return gemm_workspace_bytes(problem_, dtype_of<T>(), threads_);
  }
  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    GemmOperands<T> operands{static_cast<const T*>(inputs[0]), static_cast<const T*>(inputs[1]),
                             static_cast<T*>(outputs[0])};
    if (problem_.bias_is_scalar) std::swap(operands.a, operands.b);
    size_t next = 2;
    if (problem_.has_bias) operands.bias = static_cast<const T*>(inputs[next++]);
    if (problem_.has_residual) operands.residual = static_cast<const T*>(inputs[next]);
    gemm(problem_, operands, workspace, threads_);
  }

 private:
  GemmProblem problem_;
  int threads_;
};

class OwnBf16Row final : public Prepared {
 public:
  OwnBf16Row(GemmProblem problem, const MatmulSpec& spec)
      : problem_(std::move(problem)),
        out_dtype_(spec.out_dtype),
        bias_dtype_(spec.bias_dtype),
        threads_(available_threads()) {
    implementation_ = "own row times matrix";
  }
  size_t workspace_bytes() const override {
    return static_cast<size_t>(problem_.n + problem_.k) * sizeof(float);
  }
  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    Bf16RowOperands operands{static_cast<const bfloat16*>(inputs[0]),
                             static_cast<const bfloat16*>(inputs[1]), outputs[0]};
    operands.out_dtype = out_dtype_;
    operands.bias_dtype = bias_dtype_;
    if (problem_.bias_is_scalar) std::swap(operands.a, operands.b);
    size_t next = 2;
    if (problem_.has_bias) operands.bias = inputs[next++];
    if (problem_.has_residual) operands.residual = inputs[next];
    gemm_bf16_row(problem_, operands, workspace, threads_);
  }

 private:
  GemmProblem problem_;
  DType out_dtype_, bias_dtype_;
  int threads_;
};

/// Whether rows and columns can be told to oneDNN as a dense or padded matrix, either way round.
bool is_ordinary(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride) {
  return (column_stride == 1 && row_stride >= columns) ||
         (row_stride == 1 && column_stride >= rows);
}

/// The library's kernels count in 32 bits.
bool countable(const GemmProblem& p) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return p.m <= kMost && p.n <= kMost && p.k <= kMost && element_count(p.batch) <= kMost;
}

bool library_can(const GemmProblem& p) {
  if (!countable(p)) return false;
  const auto positive = [](const Strides& s) {
    return std::all_of(s.begin(), s.end(), [](int64_t v) { return v >= 0; });
  };
  return is_ordinary(p.m, p.k, p.a_row, p.a_column) && is_ordinary(p.k, p.n, p.b_row, p.b_column) &&
         p.out_row >= p.n && positive(p.a_batch) && positive(p.b_batch) && positive(p.out_batch) &&
         p.batch.size() <= 4;
}

// Packing B is what a tiny product spends its time on if B's columns are not contiguous.
bool own_is_faster(const GemmProblem& p) {
  const int64_t limit = p.b_column == 1 ? kSmallProduct : kSmallPackedProduct;
  const double products =
      static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  return p.m == 1 || products <= static_cast<double>(limit);
}

Desc matrix_desc(const GemmProblem& p, const Strides& batch, int64_t rows, int64_t columns,
                 int64_t row_stride, int64_t column_stride, DType dtype) {
  Dims dims, strides;
  for (size_t i = 0; i < p.batch.size(); ++i) {
    const bool repeated = batch[i] == 0;
    dims.push_back(repeated ? 1 : p.batch[i]);
    strides.push_back(repeated ? rows * row_stride + columns * column_stride : batch[i]);
  }
  dims.insert(dims.end(), {rows, columns});
  strides.insert(strides.end(), {row_stride, column_stride});
  return strided_desc(dims, dtype, strides);
}

/// Product, bias and residual; without the activation.
std::unique_ptr<Prepared> make_linear_matmul(const MatmulSpec& s, const GemmProblem& p) {
  const Desc a = matrix_desc(p, p.a_batch, p.m, p.k, p.a_row, p.a_column, s.dtype);
  const Desc b = matrix_desc(p, p.b_batch, p.k, p.n, p.b_row, p.b_column, s.dtype);
  const Desc out = matrix_desc(p, p.out_batch, p.m, p.n, p.out_row, 1, s.out_dtype);
  Desc bias;
  if (s.has_bias) {
    Dims dims(p.batch.size() + 1, 1);
    dims.push_back(p.n);
    bias = strided_desc(dims, s.bias_dtype, [&] {
      Dims strides(dims.size(), p.n);
      strides.back() = 1;
      return strides;
    }());
  }
  dnnl::primitive_attr attr = caller_scratchpad();
  if (s.has_residual) {
    dnnl::post_ops operations;
    operations.append_binary(dnnl::algorithm::binary_add, out);
    attr.set_post_ops(operations);
  }
  const auto pd = make_matmul(a, b, bias, out, attr);

  PipelineBuilder builder;
  PipelineBuilder::Arguments arguments{{DNNL_ARG_SRC, builder.input(0, a)},
                                       {DNNL_ARG_WEIGHTS, builder.input(1, b)},
                                       {DNNL_ARG_DST, builder.output(0, out)}};
  size_t next = 2;
  if (s.has_bias) arguments.emplace_back(DNNL_ARG_BIAS, builder.input(next++, bias));
  if (s.has_residual) {
    arguments.emplace_back(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                           builder.input(next, out));
  }
  builder.step(dnnl::matmul(pd), pd.scratchpad_desc(), std::move(arguments));
  return builder.finish(implementation_of(pd));
}

/// Product, bias, activation and residual on one thread.
std::unique_ptr<Prepared> make_part(const MatmulSpec& s, const GemmProblem& p) {
  if (!s.activation) return make_linear_matmul(s, p);
  MatmulSpec product = s;
  product.has_residual = false;
  ElementwiseEpilogue epilogue{*s.activation, s.has_residual, s.out_dtype, p.batch, p.out_batch};
  for (const int64_t size : {p.m, p.n}) epilogue.shape.push_back(size);
  for (const int64_t stride : {p.out_row, int64_t{1}}) epilogue.strides.push_back(stride);
  return with_epilogue(make_linear_matmul(product, p), std::move(epilogue));
}

/// How many ways each dimension of the result is cut.
struct Grid {
  int64_t batch = 1, m = 1, n = 1;
};

// Borders of parts: whole vectors and cache lines of a row, whole blocks of rows.
constexpr int64_t kRowGranule = 8;
constexpr int64_t kColumnGranule = 16;

size_t longest_batch(const GemmProblem& p) {
  return static_cast<size_t>(std::max_element(p.batch.begin(), p.batch.end()) - p.batch.begin());
}

/// The time of the largest part in multiply-adds. Every part packs operands of its own, and packing
/// an element takes as long as so many of them.
double cost(const GemmProblem& p, const Grid& grid) {
  constexpr double kPacking = 8;
  const auto part = [](int64_t total, int64_t parts, int64_t granule) {
    const int64_t granules = (total + granule - 1) / granule;
    return static_cast<double>(std::min(total, (granules + parts - 1) / parts * granule));
  };
  const double m = part(p.m, grid.m, kRowGranule), n = part(p.n, grid.n, kColumnGranule);
  const double batch = p.batch.empty() ? 1 : part(p.batch[longest_batch(p)], grid.batch, 1);
  return batch * (m * n + kPacking * (m + n));
}

/// The best of all grids with `parts` cells.
Grid choose_grid(const GemmProblem& p, int64_t parts) {
  Grid best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t batch = 1; batch <= parts; ++batch) {
    if (parts % batch || (batch > 1 && p.batch.empty())) continue;
    for (int64_t m = 1; m <= parts / batch; ++m) {
      if (parts / batch % m) continue;
      const Grid grid{batch, m, parts / batch / m};
      if (const double c = cost(p, grid); c < least) least = c, best = grid;
    }
  }
  return best;
}

/// The part of the product for these ranges.
Part make_part(const MatmulSpec& s, const GemmProblem& whole, PartRange batch, PartRange m,
               PartRange n) {
  GemmProblem p = whole;
  int64_t a = m.first * p.a_row, b = n.first * p.b_column, out = m.first * p.out_row + n.first;
  p.m = m.size(), p.n = n.size();
  if (!p.batch.empty()) {
    const size_t axis = longest_batch(p);
    p.batch[axis] = batch.size();
    a += batch.first * p.a_batch[axis];
    b += batch.first * p.b_batch[axis];
    out += batch.first * p.out_batch[axis];
  }
  const auto bytes = [](int64_t elements, DType dtype) {
    return elements * static_cast<int64_t>(size_of(dtype));
  };
  Part part{make_part(s, p), {bytes(a, s.dtype), bytes(b, s.dtype)}, {bytes(out, s.out_dtype)}};
  if (s.has_bias) part.inputs.push_back(bytes(n.first, s.bias_dtype));
  if (s.has_residual) part.inputs.push_back(bytes(out, s.out_dtype));
  return part;
}

/// Divided among the threads unless it is small; only the result is, never the sum of an element.
std::unique_ptr<Prepared> make_library_matmul(const MatmulSpec& s, const GemmProblem& p) {
  const OneThreadScope scope;
  const bool alone = p.work() < kParallelWork || is_deterministic();
  const int64_t threads =
      alone ? 1 : std::min<int64_t>(available_threads(), 2 * p.work() / kParallelWork);
  const Grid grid = choose_grid(p, threads);
  const int64_t batch = p.batch.empty() ? 1 : p.batch[longest_batch(p)];
  std::vector<Part> parts;
  for (int64_t i = 0; i < threads; ++i) {
    const PartRange of_batch = part_range(batch, grid.batch, i / (grid.m * grid.n));
    const PartRange of_m = part_range(p.m, grid.m, i / grid.n % grid.m, kRowGranule);
    const PartRange of_n = part_range(p.n, grid.n, i % grid.n, kColumnGranule);
    if (of_batch.size() * of_m.size() * of_n.size() > 0)
      parts.push_back(make_part(s, p, of_batch, of_m, of_n));
  }
  return in_parts(std::move(parts));
}

template <class T>
PrepareResult own_matmul(const MatmulSpec& spec) {
  return {std::make_unique<OwnMatmul<T>>(canonical(problem_of(spec))), {}};
}

PrepareResult prepare_f32(const MatmulSpec& spec) {
  const GemmProblem merged = merge_batches(problem_of(spec));
  if (!library_can(merged) || own_is_faster(canonical(merged)) || is_deterministic() ||
      process_ends())
    return own_matmul<float>(spec);
  try {
    return {make_library_matmul(spec, merged), {}};
  } catch (const dnnl::error&) {
    return own_matmul<float>(spec);
  }
}

PrepareResult prepare_bf16(const MatmulSpec& spec) {
  const GemmProblem row = canonical(problem_of(spec));
  if (row.m == 1 && row.batch.empty() && (row.b_column == 1 || row.b_row == 1)) {
    return {std::make_unique<OwnBf16Row>(row, spec), {}};
  }
  const GemmProblem merged = merge_batches(problem_of(spec));
  if (!library_can(merged)) return {nullptr, "no unit stride in an operand of bf16"};
  if (process_ends()) return {nullptr, "the process ends"};
  try {
    return {make_library_matmul(spec, merged), {}};
  } catch (const dnnl::error& e) {
    return {nullptr, fmt::format("oneDNN has no matmul for this case ({})", e.message)};
  }
}

}  // namespace

PrepareResult prepare_matmul(const MatmulSpec& spec) {
  if (std::string reason = reason_to_decline(spec); !reason.empty())
    return {nullptr, std::move(reason)};
  switch (spec.dtype) {
    case DType::kF64:
      return own_matmul<double>(spec);
    case DType::kBF16:
      return prepare_bf16(spec);
    default:
      return prepare_f32(spec);
  }
}

}  // namespace linnet::cpu::onednn
