#include "descriptors.h"

#include <iterator>

namespace linnet::fake_cublaslt {
namespace {

#define FIELD(Type, id, member) \
  { id, sizeof(Type::member), offsetof(Type, member) }

constexpr Attribute kLayout[] = {
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_TYPE, type),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_ORDER, order),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_ROWS, rows),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_COLS, columns),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_LD, ld),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, batch_count),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, batch_offset),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_PLANE_OFFSET, plane_offset),
    FIELD(Layout, CUBLASLT_MATRIX_LAYOUT_BATCH_MODE, batch_mode),
};

constexpr Attribute kOperation[] = {
    FIELD(Operation, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, compute),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_SCALE_TYPE, scale),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_POINTER_MODE, pointer_mode),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_TRANSA, transpose_a),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_TRANSB, transpose_b),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_TRANSC, transpose_c),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_FILL_MODE, fill),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, bias_batch_stride),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, auxiliary),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, auxiliary_ld),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, auxiliary_batch_stride),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_ALPHA_VECTOR_BATCH_STRIDE, alpha_batch_stride),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, multiprocessors),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scale_a),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scale_b),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_C_SCALE_POINTER, scale_c),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, scale_d),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_AMAX_D_POINTER, largest_d),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, auxiliary_type),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_POINTER, auxiliary_scale),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_AMAX_POINTER, auxiliary_largest),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_FAST_ACCUM, fast_accumulation),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, bias_type),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode_a),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode_b),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_C_SCALE_MODE, mode_c),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_D_SCALE_MODE, mode_d),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_MODE, mode_auxiliary),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_D_OUT_SCALE_POINTER, scale_d_out),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_D_OUT_SCALE_MODE, mode_d_out),
    FIELD(Operation, CUBLASLT_MATMUL_DESC_EMULATION_DESCRIPTOR, emulation),
};

constexpr Attribute kPreference[] = {
    FIELD(Preference, CUBLASLT_MATMUL_PREF_SEARCH_MODE, search),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_a),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_b),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_c),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_d),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, waves),
    FIELD(Preference, CUBLASLT_MATMUL_PREF_IMPL_MASK, implementations),
};

constexpr Attribute kAlgorithm[] = {FIELD(Algorithm, CUBLASLT_ALGO_CONFIG_ID, id)};

#undef FIELD

template <size_t N>
const Attribute* find(const Attribute (&list)[N], int id) {
  for (const Attribute& attribute : list) {
    if (attribute.id == id) return &attribute;
  }
  return nullptr;
}

struct TypeRow {
  uint32_t type;
  size_t size;
  const char* name;
};
constexpr TypeRow kTypes[] = {
    {CUDA_R_32F, 4, "f32"},   {CUDA_R_64F, 8, "f64"},      {CUDA_R_16F, 2, "f16"},
    {CUDA_R_16BF, 2, "bf16"}, {CUDA_R_8F_E4M3, 1, "e4m3"}, {CUDA_R_8F_E5M2, 1, "e5m2"},
    {CUDA_R_8I, 1, "i8"},     {CUDA_R_32I, 4, "i32"},
};

}  // namespace

const Attribute* find_attribute(const Layout&, int id) { return find(kLayout, id); }
const Attribute* find_attribute(const Operation&, int id) { return find(kOperation, id); }
const Attribute* find_attribute(const Preference&, int id) { return find(kPreference, id); }
const Attribute* find_attribute(const Algorithm&, int id) { return find(kAlgorithm, id); }

size_t size_of_type(uint32_t type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.size;
  }
  return 0;
}

const char* name_of_type(uint32_t type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.name;
  }
  return "a type that is not known";
}

size_t Layout::element_size() const { return size_of_type(type); }

int64_t Layout::extent() const {
  if (rows == 0 || columns == 0) return 0;
  return offset_of(static_cast<int64_t>(rows) - 1, static_cast<int64_t>(columns) - 1) + 1;
}

}  // namespace linnet::fake_cublaslt
