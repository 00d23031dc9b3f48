// The functions of cuBLASLt, which are looked up at the first product.
//
//   check(cublaslt().cublasLtMatmul(handle_of(gpu), …), "cuda: a product");
#pragma once

#include <cublasLt.h>
#include <cuda.h>

#include <string>

namespace linnet::cuda {

class Gpu;

// clang-format off
#define LINNET_CUBLASLT_FUNCTIONS(X)                                                             \
  X(cublasLtCreate) X(cublasLtGetVersion) X(cublasLtGetStatusName)                               \
  X(cublasLtMatrixLayoutInit_internal) X(cublasLtMatrixLayoutSetAttribute)                       \
  X(cublasLtMatmulDescInit_internal) X(cublasLtMatmulDescSetAttribute)                           \
  X(cublasLtMatmulPreferenceInit_internal) X(cublasLtMatmulPreferenceSetAttribute)               \
  X(cublasLtMatmulAlgoGetHeuristic) X(cublasLtMatmulAlgoCheck)                                   \
  X(cublasLtMatmulAlgoConfigGetAttribute) X(cublasLtMatmul)
// clang-format on

struct CublasLt {
#define LINNET_CUBLASLT_MEMBER(name) decltype(&::name) name = nullptr;
  LINNET_CUBLASLT_FUNCTIONS(LINNET_CUBLASLT_MEMBER)
#undef LINNET_CUBLASLT_MEMBER
  size_t version = 0;  ///< 130100 is 13.1.0
  std::string path;
};

/// Null if the library was not found; `cublaslt_reason` says what was looked for.
const CublasLt* find_cublaslt();
const std::string& cublaslt_reason();
/// @throws DeviceError with the reason if there is none.
const CublasLt& cublaslt();

/// The library's handle for a device, made at first use. The device's context is current.
cublasLtHandle_t handle_of(const Gpu& gpu);

/// @throws DeviceError with what was being done unless `status` is success.
void check(cublasStatus_t status, const char* doing);
std::string text_of(cublasStatus_t status);

}  // namespace linnet::cuda
