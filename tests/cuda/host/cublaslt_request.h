// One product asked of cuBLASLt, in plain numbers that a test changes one at a time.
//
//   Request request;                     // bf16 [32, 64] x [64, 16], which every cuBLASLt takes
//   request.a.ld = 31;
//   EXPECT_NE(submit(request).status, CUBLAS_STATUS_SUCCESS);
#pragma once

#include <cublasLt.h>
#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace linnet::testing {

struct Matrix {
  cudaDataType type = CUDA_R_16BF;
  uint64_t rows = 0, columns = 0;
  int64_t ld = 0;
  int32_t order = CUBLASLT_ORDER_COL, batch = 1;
  int64_t batch_stride = 0;
  /// Bytes behind the start of its memory, which is aligned to 512.
  size_t offset = 0;
  uint32_t preferred_alignment = 256;
  bool has_address = true;
};

struct Request {
  Matrix a{.rows = 32, .columns = 64, .ld = 32}, b{.rows = 64, .columns = 16, .ld = 64},
      c{.rows = 32, .columns = 16, .ld = 32}, d{.rows = 32, .columns = 16, .ld = 32};
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType scale = CUDA_R_32F;
  double alpha = 1, beta = 0;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  bool has_bias = false, has_auxiliary = false, has_scales = false;
  int32_t bias_type = -1;
  int64_t bias_batch_stride = 0, auxiliary_ld = 0;
  uint64_t most_workspace = 1 << 20;
  /// The algorithm is one that wants a workspace, and gets so many bytes too few.
  std::optional<size_t> workspace_missing;
  size_t workspace_offset = 0;
  bool d_is_a = false;  ///< D lies where A does
  bool has_handle = true;
  /// Called with the descriptors before they are used; its status is that of the request if it
  /// fails.
  std::function<cublasStatus_t(cublasLtMatmulDesc_t, cublasLtMatrixLayout_t a)> then_set;
  /// The algorithm is chosen for this request instead.
  const Request* algorithm_of = nullptr;

  void for_all(const std::function<void(Matrix&)>& change) {
    for (Matrix* x : {&a, &b, &c, &d}) change(*x);
  }
  /// All matrices of one type.
  void set_type(cudaDataType type) {
    for_all([type](Matrix& x) { x.type = type; });
  }
};

/// Bytes of the operands, before and after.
struct Data {
  std::vector<std::byte> a, b, c, d, bias, auxiliary;
  std::vector<std::byte> scales;  ///< of A, and at 256 bytes that of B
};

struct Answer {
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  std::string stage;                 ///< `setting`, `heuristic`, `matmul`
  std::string sentence;              ///< what the library logged
  std::vector<int32_t> algorithms;   ///< that it proposed
  std::vector<cublasStatus_t> runs;  ///< what each of those that were tried returned
};

/// Whether the library is the double, which has sentences for its rules.
bool is_double();

/// Asks for algorithms and runs the first one that runs. Operands of `data` that are empty are
/// memory of the device with any content.
Answer submit(const Request& request, Data* data = nullptr);

}  // namespace linnet::testing
