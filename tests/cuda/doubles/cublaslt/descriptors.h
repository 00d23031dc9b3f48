// What lies in the descriptors of cuBLASLt, which callers keep in memory of their own.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

namespace linnet::fake_cublaslt {

struct Layout {
  static constexpr uint32_t kMark = 0x4C61796F;
  uint32_t type = CUDA_R_32F;
  int32_t order = CUBLASLT_ORDER_COL;
  uint64_t rows = 0, columns = 0;
  int64_t ld = 0;
  int32_t batch_count = 1;
  uint32_t mark = kMark;
  int64_t batch_offset = 0, plane_offset = 0;
  uint32_t batch_mode = CUBLASLT_BATCH_MODE_STRIDED;

  size_t element_size() const;
  /// Elements from the first to behind the last of one matrix.
  int64_t extent() const;
  int64_t offset_of(int64_t row, int64_t column) const {
    return order == CUBLASLT_ORDER_ROW ? row * ld + column : row + column * ld;
  }
};
static_assert(sizeof(Layout) <= sizeof(cublasLtMatrixLayoutOpaque_t));

struct Operation {
  static constexpr uint32_t kMark = 0x4F706572;
  int32_t compute = CUBLAS_COMPUTE_32F, scale = CUDA_R_32F;
  int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N, transpose_c = CUBLAS_OP_N;
  int32_t fill = CUBLAS_FILL_MODE_FULL;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  int64_t bias_batch_stride = 0;
  void* auxiliary = nullptr;
  int64_t auxiliary_ld = 0, auxiliary_batch_stride = 0, alpha_batch_stride = 0;
  int32_t multiprocessors = 0;
  int32_t auxiliary_type = -1, bias_type = -1;
  int8_t fast_accumulation = 0;
  void *scale_a = nullptr, *scale_b = nullptr, *scale_c = nullptr, *scale_d = nullptr;
  void *largest_d = nullptr, *auxiliary_scale = nullptr, *auxiliary_largest = nullptr;
  void *scale_d_out = nullptr, *emulation = nullptr;
  int32_t mode_a = 0, mode_b = 0, mode_c = 0, mode_d = 0, mode_auxiliary = 0, mode_d_out = 0;
  uint32_t mark = kMark;
};
static_assert(sizeof(Operation) <= sizeof(cublasLtMatmulDescOpaque_t));

struct Preference {
  static constexpr uint32_t kMark = 0x50726566;
  uint64_t workspace_bytes = 0, implementations = ~uint64_t{0};
  uint32_t search = CUBLASLT_SEARCH_BEST_FIT, reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment_a = 256, alignment_b = 256, alignment_c = 256, alignment_d = 256;
  float waves = 0;
  uint32_t mark = kMark;
};
static_assert(sizeof(Preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t));

/// Contents of an algorithm, which callers may write to disk and read again.
struct Algorithm {
  static constexpr uint32_t kMark = 0x416C676F;
  uint32_t mark = kMark;
  int32_t id = 0;
  uint64_t workspace_bytes = 0;
  /// What it was chosen for: hash of types, transposes, orders and the epilogue.
  uint64_t kind = 0;
  uint16_t alignment_a = 256, alignment_b = 256, alignment_c = 256, alignment_d = 256;
  uint16_t alignment_bias = 1, reserved[3] = {};
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

/// One attribute of a descriptor: its number, its documented size, where it lies.
struct Attribute {
  int id;
  size_t size, offset;
};
/// Null if the descriptor has no such attribute.
const Attribute* find_attribute(const Layout&, int id);
const Attribute* find_attribute(const Operation&, int id);
const Attribute* find_attribute(const Preference&, int id);
const Attribute* find_attribute(const Algorithm&, int id);

/// 0 for a type that the double does not know.
size_t size_of_type(uint32_t type);
const char* name_of_type(uint32_t type);

}  // namespace linnet::fake_cublaslt
