// What cuBLASLt demands, rule by rule: a request that breaks one is refused with a sentence that
// names it, and its good neighbour is taken. Run against the real library on a card, the same table
// finds rules that the double lacks or made up; there each test wants a process of its own, since a
// request that is wrongly taken may end the device's context.
#include <gtest/gtest.h>

#include "cuda/host/cublaslt_request.h"
#include "kernels/cuda/cublas/api.h"

namespace linnet::testing::cublaslt_rules_test {
namespace {

struct Rule {
  const char* name;
  void (*good)(Request&);  ///< null: the request as it is
  void (*bad)(Request&);
  const char* sentence;  ///< part of what the double says
};

void fp8(Request& r) {
  r.a = {.type = CUDA_R_8F_E4M3, .rows = 64, .columns = 32, .ld = 64};
  r.b.type = CUDA_R_8F_E4M3;
  r.transpose_a = CUBLAS_OP_T;
}
void fp8_scaled(Request& r) {
  fp8(r);
  r.has_scales = true;
}
void f32(Request& r) { r.set_type(CUDA_R_32F); }
void f64(Request& r) {
  r.set_type(CUDA_R_64F);
  r.compute = CUBLAS_COMPUTE_64F;
  r.scale = CUDA_R_64F;
}
void biased(Request& r) {
  r.epilogue = CUBLASLT_EPILOGUE_BIAS;
  r.has_bias = true;
}
void batched(Request& r) {
  r.for_all([](Matrix& x) {
    x.batch = 3;
    x.batch_stride = static_cast<int64_t>(x.rows * x.columns);
  });
}
void gelu_kept(Request& r) {
  r.epilogue = CUBLASLT_EPILOGUE_GELU_AUX;
  r.has_auxiliary = true;
  r.auxiliary_ld = 32;
}
void relu_kept(Request& r) {
  r.epilogue = CUBLASLT_EPILOGUE_RELU_AUX;
  r.has_auxiliary = true;
  r.auxiliary_ld = 128;
}
template <class T>
cublasStatus_t set_rows(cublasLtMatmulDesc_t, cublasLtMatrixLayout_t a) {
  const T rows = 32;
  return cuda::cublaslt().cublasLtMatrixLayoutSetAttribute(a, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows,
                                                           sizeof rows);
}
template <int kAttribute, int32_t kValue = 0>
cublasStatus_t set_attribute(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t) {
  const int32_t value = kValue;
  return cuda::cublaslt().cublasLtMatmulDescSetAttribute(
      operation, static_cast<cublasLtMatmulDescAttributes_t>(kAttribute), &value, sizeof value);
}
cublasStatus_t set_scale_of_the_host(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t) {
  static const float scale = 1;
  const void* const at = &scale;
  return cuda::cublaslt().cublasLtMatmulDescSetAttribute(
      operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &at, sizeof at);
}
void plain(Request&) {}

const Rule kRules[] = {
    {"attribute_size", [](Request& r) { r.then_set = set_rows<uint64_t>; },
     [](Request& r) { r.then_set = set_rows<uint32_t>; }, "has 8 bytes, not 4"},
    {"attribute_exists",
     [](Request& r) { r.then_set = set_attribute<CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET>; },
     [](Request& r) { r.then_set = set_attribute<9>; }, "there is no attribute 9"},
    {"epilogue_exists", [](Request& r) { r.epilogue = CUBLASLT_EPILOGUE_RELU; },
     [](Request& r) { r.epilogue = 9999; }, "there is no epilogue 9999"},
    {"handle", plain, [](Request& r) { r.has_handle = false; }, "the handle is not one"},
    {"leading_dimension", [](Request& r) { r.a.ld = 40; }, [](Request& r) { r.a.ld = 31; },
     "leading dimension of A is 31, less than its 32 rows"},
    {"leading_dimension_of_rows",
     [](Request& r) { r.c.order = r.d.order = CUBLASLT_ORDER_ROW, r.c.ld = r.d.ld = 16; },
     [](Request& r) { r.c.order = r.d.order = CUBLASLT_ORDER_ROW, r.c.ld = r.d.ld = 15; },
     "less than its 16 columns"},
    {"size_not_zero", plain, [](Request& r) { r.a.columns = r.b.rows = 0; }, "a size of A is 0"},
    {"inner_sizes", [](Request& r) { r.a.columns = r.b.rows = 56; },
     [](Request& r) { r.b.rows = 56; }, "op(A) has 64 columns, op(B) 56 rows"},
    {"rows_of_result", plain, [](Request& r) { r.c.rows = r.d.rows = 24; },
     "op(A) has 32 rows, D 24"},
    {"columns_of_result", plain, [](Request& r) { r.c.columns = r.d.columns = 8; },
     "op(B) has 16 columns, D 8"},
    {"transposed_sizes",
     [](Request& r) { r.transpose_a = CUBLAS_OP_T, r.a.rows = r.a.ld = 64, r.a.columns = 32; },
     [](Request& r) { r.transpose_a = CUBLAS_OP_T; }, "op(A) has 32 columns, op(B) 64 rows"},
    {"shape_of_c", [](Request& r) { r.c.ld = 48; }, [](Request& r) { r.c.columns = 8; },
     "C and D differ in shape"},
    {"type_of_c", plain, [](Request& r) { r.c.type = CUDA_R_32F; }, "C and D differ in type"},
    {"types_bf16", [](Request& r) { r.c.type = r.d.type = CUDA_R_32F; },
     [](Request& r) { r.c.type = r.d.type = CUDA_R_16F; }, "bf16, bf16 -> f16 are not"},
    {"types_f16", [](Request& r) { r.set_type(CUDA_R_16F), r.c.type = r.d.type = CUDA_R_32F; },
     [](Request& r) { r.set_type(CUDA_R_16F), r.b.type = CUDA_R_16BF; },
     "f16, bf16 -> f16 are not"},
    {"types_f32", f32, [](Request& r) { f32(r), r.c.type = r.d.type = CUDA_R_16BF; },
     "f32, f32 -> bf16 are not"},
    {"types_f64", f64, [](Request& r) { f64(r), r.c.type = r.d.type = CUDA_R_32F; },
     "f64, f64 -> f32 are not"},
    {"compute_type", [](Request& r) { f32(r), r.compute = CUBLAS_COMPUTE_32F_FAST_TF32; },
     [](Request& r) { r.compute = CUBLAS_COMPUTE_64F, r.scale = CUDA_R_64F; },
     "the compute type does not fit operands of bf16"},
    {"scale_type", f32, [](Request& r) { f32(r), r.scale = CUDA_R_64F; },
     "the scale type is not that"},
    {"fp8_transposes", fp8,
     [](Request& r) {
       fp8(r), r.transpose_a = CUBLAS_OP_N, r.a.rows = r.a.ld = 32, r.a.columns = 64;
     },
     "products of fp8 want A transposed and B not"},
    {"fp8_sizes", fp8, [](Request& r) { fp8(r), r.b.columns = r.c.columns = r.d.columns = 24; },
     "multiples of 16"},
    {"fp8_addresses", [](Request& r) { fp8(r), r.b.offset = 16, r.b.preferred_alignment = 16; },
     [](Request& r) { fp8(r), r.b.offset = 8, r.b.preferred_alignment = 8; },
     "B of fp8 is not aligned to 16"},
    {"fp8_kinds", [](Request& r) { fp8(r), r.b.type = CUDA_R_8F_E5M2; },
     [](Request& r) { fp8(r), r.a.type = r.b.type = CUDA_R_8F_E5M2; },
     "e5m2, e5m2 -> bf16 are not"},
    {"fp8_inner_size", fp8, [](Request& r) { fp8(r), r.a.rows = r.b.rows = 56; },
     "multiples of 16"},
    {"fp8_scales", fp8_scaled, [](Request& r) { r.has_scales = true; },
     "only fp8 has scales of A and B"},
    {"fp8_scale_mode", fp8_scaled,
     [](Request& r) {
       fp8_scaled(r);
       r.then_set = set_attribute<CUBLASLT_MATMUL_DESC_A_SCALE_MODE,
                                  CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0>;
     },
     "only one scale of f32 for a matrix"},
    {"fp8_scale_on_the_device", fp8_scaled,
     [](Request& r) { fp8_scaled(r), r.then_set = set_scale_of_the_host; },
     "the scale of A is not in memory of the device"},
    {"batch_counts", batched, [](Request& r) { batched(r), r.b.batch = 2; },
     "the batch counts differ"},
    {"batch_of_result", [](Request& r) { batched(r), r.a.batch_stride = 0; },
     [](Request& r) { batched(r), r.c.batch_stride = r.d.batch_stride = 0; },
     "the batch of D overlap"},
    {"bias_address", biased, [](Request& r) { biased(r), r.has_bias = false; },
     "the bias has no address"},
    {"bias_type", [](Request& r) { biased(r), r.bias_type = CUDA_R_16BF; },
     [](Request& r) { biased(r), r.bias_type = CUDA_R_32F; }, "the bias is not of the type of D"},
    {"bias_length", [](Request& r) { batched(r), biased(r), r.bias_batch_stride = 32; },
     [](Request& r) { batched(r), biased(r), r.bias_batch_stride = 31; },
     "shorter than D has rows"},
    {"epilogue_of_f64", f64, [](Request& r) { f64(r), biased(r); }, "f64 has no epilogue"},
    {"auxiliary_address", gelu_kept, [](Request& r) { gelu_kept(r), r.has_auxiliary = false; },
     "the auxiliary operand has no address"},
    {"auxiliary_rows", gelu_kept, [](Request& r) { gelu_kept(r), r.auxiliary_ld = 24; },
     "the auxiliary leading dimension is less"},
    {"auxiliary_of_gelu", [](Request& r) { gelu_kept(r), r.auxiliary_ld = 40; },
     [](Request& r) { gelu_kept(r), r.auxiliary_ld = 36; }, "no multiple of 8"},
    {"auxiliary_of_relu", relu_kept, [](Request& r) { relu_kept(r), r.auxiliary_ld = 136; },
     "no multiple of 128"},
    {"alignment_of_a", [](Request& r) { r.a.offset = 8, r.a.preferred_alignment = 8; },
     [](Request& r) { r.a.offset = 8; }, "A is less aligned than the 256 bytes"},
    {"alignment_of_d", [](Request& r) { r.d.offset = 16, r.d.preferred_alignment = 16; },
     [](Request& r) { r.d.offset = 8, r.d.preferred_alignment = 16; },
     "D is less aligned than the 16 bytes"},
    {"alignment_of_elements", [](Request& r) { r.b.offset = 2, r.b.preferred_alignment = 2; },
     [](Request& r) { r.b.offset = 1, r.b.preferred_alignment = 1; },
     "B is not aligned to its elements"},
    {"workspace_size", [](Request& r) { r.workspace_missing = 0; },
     [](Request& r) { r.workspace_missing = 1; }, "the workspace is smaller"},
    {"workspace_alignment", [](Request& r) { r.workspace_offset = 256; },
     [](Request& r) { r.workspace_offset = 16; }, "the workspace is not aligned to 256"},
    {"c_has_an_address", [](Request& r) { r.c.has_address = false; },
     [](Request& r) { r.c.has_address = false, r.beta = 1; },
     "C has no address and its scale is not 0"},
    {"operands_have_addresses", plain, [](Request& r) { r.b.has_address = false; },
     "an operand has no address"},
    {"overlap", plain, [](Request& r) { r.d_is_a = true; }, "D overlaps A"},
    {"algorithm_of_another",
     [](Request& r) {
       static const Request same;
       r.algorithm_of = &same;
     },
     [](Request& r) {
       static const Request other = [] {
         Request made;
         f32(made);
         return made;
       }();
       r.algorithm_of = &other;
     },
     "the algorithm was chosen for another kind of product"},
};

class CublasLtRules : public ::testing::TestWithParam<Rule> {};

TEST_P(CublasLtRules, good_neighbour_is_taken) {
  Request request;
  GetParam().good(request);
  const Answer answer = submit(request);
  EXPECT_EQ(answer.status, CUBLAS_STATUS_SUCCESS) << answer.stage << ": " << answer.sentence;
}

TEST_P(CublasLtRules, broken_rule_is_named) {
  Request request;
  GetParam().bad(request);
  const Answer answer = submit(request);
  EXPECT_NE(answer.status, CUBLAS_STATUS_SUCCESS);
  if (!is_double()) return;
  EXPECT_NE(answer.sentence.find(GetParam().sentence), std::string::npos)
      << answer.stage << ": '" << answer.sentence << "'";
}

INSTANTIATE_TEST_SUITE_P(rules, CublasLtRules, ::testing::ValuesIn(kRules),
                         [](const auto& info) { return std::string(info.param.name); });

/// Heuristics propose several, and the first of them only looks well.
TEST(CublasLtDouble, one_algorithm_fails_when_it_runs) {
  if (!is_double()) GTEST_SKIP() << "the library is the real one";
  const Answer answer = submit(Request{});
  EXPECT_GE(answer.algorithms.size(), 3u);
  ASSERT_EQ(answer.runs.size(), 2u);
  EXPECT_EQ(answer.runs[0], CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(answer.runs[1], CUBLAS_STATUS_SUCCESS);
}

TEST(CublasLtDouble, algorithms_follow_workspace_and_alignment) {
  if (!is_double()) GTEST_SKIP() << "the library is the real one";
  Request narrow;
  narrow.most_workspace = 0;
  narrow.for_all([](Matrix& x) { x.preferred_alignment = 2; });
  EXPECT_LT(submit(narrow).algorithms.size(), submit(Request{}).algorithms.size());
}

}  // namespace
}  // namespace linnet::testing::cublaslt_rules_test
