#include "kernels/cuda/cublas/product.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <limits>

#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet::cuda {
namespace {

cudaDataType type_of(DType dtype, std::optional<Float8> format = {}) {
  if (format) return *format == Float8::kE4M3 ? CUDA_R_8F_E4M3 : CUDA_R_8F_E5M2;
  switch (dtype) {
    case DType::kF64:
      return CUDA_R_64F;
    case DType::kF16:
      return CUDA_R_16F;
    case DType::kBF16:
      return CUDA_R_16BF;
    default:
      return CUDA_R_32F;
  }
}

/// Types of products that the library has, and of those the ones it computes as we do.
bool has_types(const ProductSpec& spec) {
  const DType operands = spec.operands, result = spec.result;
  if (spec.lhs_format && spec.rhs_format) {
    const bool both_wide = spec.lhs_format == Float8::kE5M2 && spec.rhs_format == Float8::kE5M2;
    return !both_wide && (result == DType::kF32 || result == DType::kF16 || result == DType::kBF16);
  }
  const bool narrow = operands == DType::kF16 || operands == DType::kBF16;
  return (narrow && (result == operands || result == DType::kF32)) ||
         (operands == result && (result == DType::kF32 || result == DType::kF64));
}

std::string operand_names(const ProductSpec& spec) {
  if (!spec.lhs_format || !spec.rhs_format) return std::string(name_of(spec.operands));
  return fmt::format("{} x {}", name_of(*spec.lhs_format), name_of(*spec.rhs_format));
}

/// Numbers from column to column if `rows` numbers lie side by side; 0 if they do not.
int64_t leading_dimension(int64_t rows, int64_t row_stride, int64_t columns,
                          int64_t column_stride) {
  if (rows > 1 && row_stride != 1) return 0;
  const int64_t ld = columns > 1 ? column_stride : rows;
  return ld >= rows ? ld : 0;
}

/// A matrix [outer, inner] of which `outer` is what the library calls rows.
std::optional<StoredMatrix> stored(int64_t outer, int64_t outer_stride, int64_t inner,
                                   int64_t inner_stride) {
  if (const int64_t ld = leading_dimension(outer, outer_stride, inner, inner_stride))
    return StoredMatrix{.rows = outer, .columns = inner, .ld = ld};
  if (const int64_t ld = leading_dimension(inner, inner_stride, outer, outer_stride))
    return StoredMatrix{.rows = inner, .columns = outer, .ld = ld, .transposed = true};
  return std::nullopt;
}

template <class T>
void set(cublasLtMatrixLayoutOpaque_t& layout, cublasLtMatrixLayoutAttribute_t attribute, T value) {
  check(cublaslt().cublasLtMatrixLayoutSetAttribute(&layout, attribute, &value, sizeof value),
        "describing a matrix");
}
template <class T>
void set(cublasLtMatmulDescOpaque_t& operation, cublasLtMatmulDescAttributes_t attribute, T value) {
  check(cublaslt().cublasLtMatmulDescSetAttribute(&operation, attribute, &value, sizeof value),
        "describing a product");
}
template <class T>
void set(cublasLtMatmulPreferenceOpaque_t& preference,
         cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  check(
      cublaslt().cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value),
      "asking for algorithms");
}

cublasLtMatrixLayoutOpaque_t layout_of(cudaDataType type, const StoredMatrix& x, int64_t batch) {
  cublasLtMatrixLayoutOpaque_t layout;
  check(cublaslt().cublasLtMatrixLayoutInit_internal(&layout, sizeof layout, type,
                                                     static_cast<uint64_t>(x.rows),
                                                     static_cast<uint64_t>(x.columns), x.ld),
        "describing a matrix");
  if (batch > 1) {
    set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch));
    set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, x.batch_stride);
  }
  return layout;
}

/// The alignment of every address `offset` elements away from one that is so aligned.
size_t lowered(size_t alignment, int64_t offset, DType dtype) {
  const auto bytes = static_cast<uint64_t>(std::abs(offset)) * size_of(dtype);
  return bytes == 0 ? alignment : std::min(alignment, size_t{1} << std::countr_zero(bytes));
}

/// An address of this alignment and no more; it is looked at, not followed.
void* example_address(size_t alignment) { return reinterpret_cast<void*>(4096 + alignment); }

}  // namespace

std::optional<Product> Product::describe(const ProductSpec& spec, std::string& reason) {
  const MatrixProduct& p = spec.product;
  if (!has_types(spec)) {
    reason = fmt::format("{} operands for {}", operand_names(spec), name_of(spec.result));
    return std::nullopt;
  }
  const bool has_epilogue = spec.has_bias || spec.activation != ProductActivation::kNone;
  if (has_epilogue && spec.result == DType::kF64) {
    reason = "f64 has neither bias nor activation";
    return std::nullopt;
  }
  if (spec.has_residual && spec.activation != ProductActivation::kNone) {
    reason = "a residual is added before the activation";
    return std::nullopt;
  }
  if (std::max({p.m, p.n, p.k}) > std::numeric_limits<int32_t>::max()) {
    reason = fmt::format("a size beyond 2^31: {} x {} x {}", p.m, p.n, p.k);
    return std::nullopt;
  }
  Product out;
  out.spec_ = spec;
  const size_t rank = p.batch.size();
  const auto a = stored(p.n, p.b_strides[rank + 1], p.k, p.b_strides[rank]);
  const auto b = stored(p.k, p.a_strides[rank + 1], p.m, p.a_strides[rank]);
  if (!a || !b) {
    reason = fmt::format("the {} operand has strides {} in rows and columns", a ? "left" : "right",
                         to_string(Shape((a ? p.a_strides : p.b_strides))));
    return std::nullopt;
  }
  out.a_ = *a;
  out.b_ = *b;
  if (!out.split_batch(reason)) return std::nullopt;
  if (reason = out.decline_extra(); !reason.empty()) return std::nullopt;
  out.lower_alignments();
  if (reason = out.decline_float8(); !reason.empty()) return std::nullopt;
  out.text_ = out.described();
  return out;
}

std::string Product::decline_extra() const {
  if (spec_.extra == ProductExtra::kNone) return {};
  if (size_of(spec_.operands) != 2 || spec_.result != spec_.operands)
    return fmt::format("{} has no epilogues of training", name_of(spec_.result));
  if (batch_ != 1 || calls_.size() != 1) return "a batch has no epilogues of training";
  if (spec_.has_residual) return "a residual beside an epilogue of training";
  const bool is_matrix =
      spec_.extra == ProductExtra::kInput || spec_.extra == ProductExtra::kGradient;
  if (is_matrix && spec_.product.n % 8 != 0)
    return fmt::format("{} columns of the operand of the activation", spec_.product.n);
  if (spec_.extra_alignment < 16) return "alignment of the operand of the activation";
  return {};
}

/// As "cublasLtMatmul", "To use FP8 kernels", in the library's documentation has it.
std::string Product::decline_float8() const {
  constexpr int kFirstArchitecture = 89;  // Ada; Hopper is 90
  constexpr int64_t kMultiple = 16;
  if (!spec_.lhs_format) return {};
  if (const int here = device_properties().architecture(); here < kFirstArchitecture) {
    return fmt::format("eight-bit products need compute capability 8.9, this is {}.{}", here / 10,
                       here % 10);
  }
  const MatrixProduct& p = spec_.product;
  for (const int64_t size : {p.m, p.n, p.k}) {
    if (size % kMultiple != 0) {
      return fmt::format("sizes of eight-bit products are multiples of {}, these are {} x {} x {}",
                         kMultiple, p.m, p.n, p.k);
    }
  }
  if (!a_.transposed || b_.transposed) return "the contracted numbers are not side by side";
  for (const int64_t stride : {a_.ld, b_.ld, a_.batch_stride, b_.batch_stride}) {
    if (stride % kMultiple != 0) return fmt::format("a stride of {} numbers of eight bits", stride);
  }
  if (std::min({spec_.lhs_alignment, spec_.rhs_alignment, spec_.out_alignment}) < kMultiple)
    return "alignment of an operand of eight bits, or of the result";
  return {};
}

bool Product::split_batch(std::string& reason) {
  const MatrixProduct& p = spec_.product;
  const auto longest = std::max_element(p.batch.begin(), p.batch.end());
  const size_t along = static_cast<size_t>(longest - p.batch.begin());
  calls_ = {CallOffsets{}};
  int64_t out_stride = p.m * p.n;
  for (size_t d = p.batch.size(); d-- > 0;) {
    const int64_t size = p.batch[d];
    if (d == along) {
      batch_ = size;
      a_.batch_stride = p.b_strides[d];
      b_.batch_stride = p.a_strides[d];
      out_batch_stride_ = out_stride;
    } else {
      if (static_cast<int64_t>(calls_.size()) * size > spec_.most_calls) {
        reason = fmt::format("a batch {} of several strides", to_string(p.batch));
        return false;
      }
      std::vector<CallOffsets> more;
      for (int64_t i = 0; i < size; ++i) {
        for (const CallOffsets& at : calls_)
          more.push_back(
              {at.lhs + i * p.a_strides[d], at.rhs + i * p.b_strides[d], at.out + i * out_stride});
      }
      calls_ = std::move(more);
    }
    out_stride *= size;
  }
  if (batch_ <= std::numeric_limits<int32_t>::max()) return true;
  reason = fmt::format("a batch of {}", batch_);
  return false;
}

void Product::lower_alignments() {
  for (const CallOffsets& at : calls_) {
    spec_.lhs_alignment = lowered(spec_.lhs_alignment, at.lhs, spec_.operands);
    spec_.rhs_alignment = lowered(spec_.rhs_alignment, at.rhs, spec_.operands);
    spec_.out_alignment = lowered(spec_.out_alignment, at.out, spec_.result);
    spec_.residual_alignment = lowered(spec_.residual_alignment, at.out, spec_.result);
  }
}

double Product::work() const {
  const MatrixProduct& p = spec_.product;
  return static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) *
         static_cast<double>(batch_) * static_cast<double>(calls_.size());
}

std::string Product::described() const {
  const auto matrix = [](const StoredMatrix& x, size_t alignment) {
    return fmt::format("[{}x{} ld {}{} every {} at {}]", x.rows, x.columns, x.ld,
                       x.transposed ? " transposed" : "", x.batch_stride, alignment);
  };
  return fmt::format(
      "{} {} {} * {} batch {} -> {} at {} compute {} epilogue {} bias at {} residual {} at {} "
      "extra {}",
      operand_names(spec_), spec_.tf32 ? "tf32" : "exact", matrix(a_, spec_.rhs_alignment),
      matrix(b_, spec_.lhs_alignment), batch_, name_of(spec_.result), spec_.out_alignment,
      spec_.result == DType::kF64 ? "f64" : "f32", epilogue(),
      spec_.has_bias ? spec_.bias_alignment : 0, spec_.has_residual,
      spec_.has_residual ? spec_.residual_alignment : 0, static_cast<int>(spec_.extra));
}

uint32_t Product::epilogue() const {
  switch (spec_.extra) {
    case ProductExtra::kInput:
      return spec_.has_bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    case ProductExtra::kGradient:
      return CUBLASLT_EPILOGUE_DGELU;
    // Our right operand is the library's left one.
    case ProductExtra::kSumsOfRhs:
      return CUBLASLT_EPILOGUE_BGRADA;
    case ProductExtra::kSumsOfLhs:
      return CUBLASLT_EPILOGUE_BGRADB;
    case ProductExtra::kNone:
      break;
  }
  switch (spec_.activation) {
    case ProductActivation::kRelu:
      return spec_.has_bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case ProductActivation::kGeluTanh:
      return spec_.has_bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    case ProductActivation::kNone:
      break;
  }
  return spec_.has_bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

Product::Attached Product::example_of_attached() const {
  void* const number = example_address(sizeof(float));
  return {example_address(spec_.bias_alignment), example_address(spec_.extra_alignment), number,
          number};
}

cublasLtMatmulDescOpaque_t Product::operation(const Attached& attached) const {
  cublasLtMatmulDescOpaque_t out;
  const bool wide = spec_.result == DType::kF64;
  const bool fast = spec_.operands == DType::kF32 && spec_.tf32;
  check(cublaslt().cublasLtMatmulDescInit_internal(&out, sizeof out,
                                                   wide   ? CUBLAS_COMPUTE_64F
                                                   : fast ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                          : CUBLAS_COMPUTE_32F,
                                                   wide ? CUDA_R_64F : CUDA_R_32F),
        "describing a product");
  const auto transpose = [](const StoredMatrix& x) -> int32_t {
    return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  };
  set(out, CUBLASLT_MATMUL_DESC_TRANSA, transpose(a_));
  set(out, CUBLASLT_MATMUL_DESC_TRANSB, transpose(b_));
  if (const uint32_t code = epilogue(); code != CUBLASLT_EPILOGUE_DEFAULT)
    set(out, CUBLASLT_MATMUL_DESC_EPILOGUE, code);
  if (spec_.has_bias) set(out, CUBLASLT_MATMUL_DESC_BIAS_POINTER, attached.bias);
  if (spec_.lhs_format) {
    // Our right operand is the library's left one.
    set(out, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, attached.rhs_scale);
    set(out, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, attached.lhs_scale);
  }
  if (spec_.extra == ProductExtra::kSumsOfLhs || spec_.extra == ProductExtra::kSumsOfRhs) {
    set(out, CUBLASLT_MATMUL_DESC_BIAS_POINTER, attached.extra);
  } else if (spec_.extra != ProductExtra::kNone) {
    set(out, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, attached.extra);
    set(out, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, spec_.product.n);
  }
  return out;
}

Product::Layouts Product::layouts() const {
  const MatrixProduct& p = spec_.product;
  const StoredMatrix d{.rows = p.n, .columns = p.m, .ld = p.n, .batch_stride = out_batch_stride_};
  return {layout_of(type_of(spec_.operands, spec_.rhs_format), a_, batch_),
          layout_of(type_of(spec_.operands, spec_.lhs_format), b_, batch_),
          layout_of(type_of(spec_.result), d, batch_)};
}

std::vector<Product::Candidate> Product::candidates(cublasLtHandle_t handle, size_t workspace_bytes,
                                                    std::string& reason) const {
  const CublasLt& lt = cublaslt();
  cublasLtMatmulPreferenceOpaque_t preference;
  check(lt.cublasLtMatmulPreferenceInit_internal(&preference, sizeof preference),
        "asking for algorithms");
  const size_t c_alignment = spec_.has_residual ? spec_.residual_alignment : spec_.out_alignment;
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{workspace_bytes});
  // Not in place: those are atomic additions, which come in any order.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE});
  const std::pair<cublasLtMatmulPreferenceAttributes_t, size_t> alignments[] = {
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, spec_.rhs_alignment},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, spec_.lhs_alignment},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c_alignment},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, spec_.out_alignment}};
  for (const auto& [attribute, alignment] : alignments)
    set(preference, attribute, static_cast<uint32_t>(alignment));
  Layouts x = layouts();
  cublasLtMatmulDescOpaque_t desc = operation(example_of_attached());
  std::array<cublasLtMatmulHeuristicResult_t, 8> results;
  int count = 0;
  const cublasStatus_t status =
      lt.cublasLtMatmulAlgoGetHeuristic(handle, &desc, &x.a, &x.b, &x.d, &x.d, &preference,
                                        static_cast<int>(results.size()), results.data(), &count);
  std::vector<Candidate> out;
  if (status == CUBLAS_STATUS_SUCCESS) {
    for (const auto& result : std::span(results).first(static_cast<size_t>(count))) {
      if (result.state == CUBLAS_STATUS_SUCCESS) out.push_back({result.algo, result.workspaceSize});
    }
  }
  if (!out.empty()) return out;
  reason = fmt::format("cuBLASLt has no algorithm ({}): {}", cuda::text_of(status), text_);
  // Something else than that it cannot: it should not have been asked so.
  if (status != CUBLAS_STATUS_SUCCESS && status != CUBLAS_STATUS_NOT_SUPPORTED)
    log_warning("cuda: " + reason);
  return out;
}

std::optional<Product::Candidate> Product::checked(cublasLtHandle_t handle,
                                                   const cublasLtMatmulAlgo_t& algorithm) const {
  Layouts x = layouts();
  cublasLtMatmulDescOpaque_t desc = operation(example_of_attached());
  cublasLtMatmulHeuristicResult_t result;
  const cublasStatus_t status = cublaslt().cublasLtMatmulAlgoCheck(handle, &desc, &x.a, &x.b, &x.d,
                                                                   &x.d, &algorithm, &result);
  if (status != CUBLAS_STATUS_SUCCESS || result.state != CUBLAS_STATUS_SUCCESS) return std::nullopt;
  return Candidate{algorithm, result.workspaceSize};
}

cublasStatus_t Product::run(cublasLtHandle_t handle, CUstream stream, const Candidate& candidate,
                            const Operands& operands) const {
  const bool wide = spec_.result == DType::kF64;
  const float one = 1, beta = spec_.has_residual ? 1 : 0;
  const double wide_one = 1, wide_beta = beta;
  const void* const alpha_at = wide ? static_cast<const void*>(&wide_one) : &one;
  const void* const beta_at = wide ? static_cast<const void*>(&wide_beta) : &beta;
  Layouts x = layouts();
  cublasLtMatmulDescOpaque_t desc =
      operation({operands.bias, operands.extra, operands.lhs_scale, operands.rhs_scale});
  const auto size = static_cast<int64_t>(size_of(spec_.operands));
  const auto out_size = static_cast<int64_t>(size_of(spec_.result));
  for (const CallOffsets& at : calls_) {
    std::byte* const d = operands.out + at.out * out_size;
    const std::byte* const c = spec_.has_residual ? operands.residual + at.out * out_size : d;
    const cublasStatus_t status = cublaslt().cublasLtMatmul(
        handle, &desc, alpha_at, operands.rhs + at.rhs * size, &x.a, operands.lhs + at.lhs * size,
        &x.b, beta_at, c, &x.d, d, &x.d, &candidate.algorithm, operands.workspace,
        candidate.workspace_bytes, stream);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace linnet::cuda
