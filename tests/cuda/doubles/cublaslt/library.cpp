// The functions of libcublasLt.so.13. Every refusal is one sentence to the logger, or, where none
// is set, to standard error.
#include <cublasLt.h>
#include <cuda.h>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>
#include <string>

#include "algorithms.h"
#include "cuda/fake_driver/fake_driver.h"
#include "evaluate.h"

namespace linnet::fake_cublaslt {
namespace {

std::mutex logger_mutex;
cublasLtLoggerCallback_t logger = nullptr;

cublasStatus_t refuse(const char* function, const std::string& rule,
                      cublasStatus_t status = CUBLAS_STATUS_INVALID_VALUE) {
  cublasLtLoggerCallback_t callback;
  {
    const std::lock_guard lock(logger_mutex);
    callback = logger;
  }
  if (callback)
    callback(1, function, rule.c_str());
  else
    std::fprintf(stderr, "cublasLt double: %s: %s\n", function, rule.c_str());
  return status;
}

template <class Descriptor, class Opaque>
Descriptor* as(Opaque* opaque) {
  return reinterpret_cast<Descriptor*>(opaque);
}

template <class Descriptor, class Opaque>
cublasStatus_t initialise(Opaque* opaque, size_t size, const Descriptor& value) {
  if (!opaque) return refuse("Init", "the descriptor has no address");
  if (size < sizeof(Opaque))
    return refuse("Init", "the descriptor is too small", CUBLAS_STATUS_ALLOC_FAILED);
  std::memset(static_cast<void*>(opaque), 0, sizeof *opaque);
  std::memcpy(static_cast<void*>(opaque), &value, sizeof value);
  return CUBLAS_STATUS_SUCCESS;
}

template <class Descriptor, class Opaque>
cublasStatus_t set(const char* function, Opaque* opaque, int id, const void* value, size_t size) {
  auto* const descriptor = as<Descriptor>(opaque);
  if (!descriptor || descriptor->mark != Descriptor::kMark)
    return refuse(function, "the descriptor was not initialised");
  const Attribute* attribute = find_attribute(*descriptor, id);
  if (!attribute) return refuse(function, "there is no attribute " + std::to_string(id));
  if (!value) return refuse(function, "the value has no address");
  if (size != attribute->size) {
    return refuse(function, "attribute " + std::to_string(id) + " has " +
                                std::to_string(attribute->size) + " bytes, not " +
                                std::to_string(size));
  }
  std::memcpy(reinterpret_cast<std::byte*>(descriptor) + attribute->offset, value, size);
  return CUBLAS_STATUS_SUCCESS;
}

template <class Descriptor, class Opaque>
cublasStatus_t get(const char* function, const Opaque* opaque, int id, void* value, size_t size,
                   size_t* written) {
  const auto* const descriptor = reinterpret_cast<const Descriptor*>(opaque);
  if (!descriptor || descriptor->mark != Descriptor::kMark)
    return refuse(function, "the descriptor was not initialised");
  const Attribute* attribute = find_attribute(*descriptor, id);
  if (!attribute) return refuse(function, "there is no attribute " + std::to_string(id));
  if (size == 0 && !written) return refuse(function, "neither a size nor a place for it was given");
  if (size != 0 && (!value || size != attribute->size))
    return refuse(function, "attribute " + std::to_string(id) + " is of another size");
  if (written) *written = attribute->size;
  if (size != 0)
    std::memcpy(value, reinterpret_cast<const std::byte*>(descriptor) + attribute->offset, size);
  return CUBLAS_STATUS_SUCCESS;
}

/// Those that were made and not destroyed.
std::mutex handles_mutex;
std::set<cublasLtHandle_t> handles;

bool is_good(cublasLtHandle_t handle) {
  const std::lock_guard lock(handles_mutex);
  return handles.contains(handle);
}

double scale_at(const void* scale, const Operation& o) {
  return o.scale == CUDA_R_64F ? *static_cast<const double*>(scale)
                               : static_cast<double>(*static_cast<const float*>(scale));
}

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

cublasStatus_t run(const Problem& problem, const Call& call, const Algorithm& algorithm,
                   CUstream stream) {
  const std::string rule = broken_rule(problem, call, algorithm);
  if (!rule.empty()) return refuse("cublasLtMatmul", rule);
  const std::optional<Algorithm> completed = complete(problem, algorithm);
  if (!completed || completed->workspace_bytes != algorithm.workspace_bytes)
    return refuse("cublasLtMatmul", "the algorithm was chosen for other sizes");
  if (algorithm.id == kUnsupported) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Work work{.operation = problem.operation,
                  .a_layout = problem.a,
                  .b_layout = problem.b,
                  .c_layout = problem.c,
                  .d_layout = problem.d,
                  .a = address_of(call.a),
                  .b = address_of(call.b),
                  .c = address_of(call.c),
                  .d = address_of(call.d),
                  .workspace = address_of(call.workspace),
                  .workspace_bytes = algorithm.workspace_bytes,
                  .alpha = scale_at(call.alpha, problem.operation),
                  .beta = scale_at(call.beta, problem.operation)};
  const int result = fake_cuda::enqueue(stream, "cublasLtMatmul", [work] { evaluate(work); });
  return result == CUDA_SUCCESS ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

Problem problem_of(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                   cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
  return {*as<Operation>(operation), *as<Layout>(a), *as<Layout>(b), *as<Layout>(c),
          *as<Layout>(d)};
}

}  // namespace
}  // namespace linnet::fake_cublaslt

using namespace linnet::fake_cublaslt;

#define EXPORT extern "C" __attribute__((visibility("default")))

/// So that tests know whom they ask.
EXPORT const char linnet_fake_cublaslt[] = "the double";

EXPORT cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (!handle) return refuse("cublasLtCreate", "the handle has no address");
  *handle = reinterpret_cast<cublasLtHandle_t>(new char);
  const std::lock_guard lock(handles_mutex);
  handles.insert(*handle);
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  const std::lock_guard lock(handles_mutex);
  if (handles.erase(handle) == 0)
    return refuse("cublasLtDestroy", "the handle is not one", CUBLAS_STATUS_NOT_INITIALIZED);
  delete reinterpret_cast<char*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
EXPORT size_t cublasLtGetCudartVersion() { return CUDA_VERSION; }
EXPORT cublasStatus_t cublasLtGetProperty(libraryPropertyType type, int* value) {
  if (!value) return refuse("cublasLtGetProperty", "the value has no address");
  switch (type) {
    case MAJOR_VERSION:
      *value = CUBLAS_VER_MAJOR;
      return CUBLAS_STATUS_SUCCESS;
    case MINOR_VERSION:
      *value = CUBLAS_VER_MINOR;
      return CUBLAS_STATUS_SUCCESS;
    case PATCH_LEVEL:
      *value = CUBLAS_VER_PATCH;
      return CUBLAS_STATUS_SUCCESS;
  }
  return refuse("cublasLtGetProperty", "there is no such property");
}
EXPORT const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
  }
}
EXPORT const char* cublasLtGetStatusString(cublasStatus_t status) {
  return cublasLtGetStatusName(status);
}

EXPORT cublasStatus_t cublasLtLoggerSetCallback(cublasLtLoggerCallback_t callback) {
  const std::lock_guard lock(logger_mutex);
  logger = callback;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t size,
                                                        cudaDataType type, uint64_t rows,
                                                        uint64_t columns, int64_t ld) {
  return initialise(
      layout, size,
      Layout{.type = static_cast<uint32_t>(type), .rows = rows, .columns = columns, .ld = ld});
}
EXPORT cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                                 uint64_t rows, uint64_t columns, int64_t ld) {
  *layout = new cublasLtMatrixLayoutOpaque_t;
  return cublasLtMatrixLayoutInit_internal(*layout, sizeof **layout, type, rows, columns, ld);
}
EXPORT cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                       cublasLtMatrixLayoutAttribute_t id,
                                                       const void* value, size_t size) {
  return set<Layout>("cublasLtMatrixLayoutSetAttribute", layout, id, value, size);
}
EXPORT cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout,
                                                       cublasLtMatrixLayoutAttribute_t id,
                                                       void* value, size_t size, size_t* written) {
  return get<Layout>("cublasLtMatrixLayoutGetAttribute", layout, id, value, size, written);
}

EXPORT cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t operation, size_t size,
                                                      cublasComputeType_t compute,
                                                      cudaDataType_t scale) {
  return initialise(operation, size, Operation{.compute = compute, .scale = scale});
}
EXPORT cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation,
                                               cublasComputeType_t compute, cudaDataType_t scale) {
  *operation = new cublasLtMatmulDescOpaque_t;
  return cublasLtMatmulDescInit_internal(*operation, sizeof **operation, compute, scale);
}
EXPORT cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete operation;
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                                     cublasLtMatmulDescAttributes_t id,
                                                     const void* value, size_t size) {
  constexpr const char* kFunction = "cublasLtMatmulDescSetAttribute";
  if (id == CUBLASLT_MATMUL_DESC_EPILOGUE && value && size == sizeof(uint32_t)) {
    uint32_t epilogue;
    std::memcpy(&epilogue, value, size);
    if (!epilogue_is_known(epilogue))
      return refuse(kFunction, "there is no epilogue " + std::to_string(epilogue));
  }
  return set<Operation>(kFunction, operation, id, value, size);
}
EXPORT cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t operation,
                                                     cublasLtMatmulDescAttributes_t id, void* value,
                                                     size_t size, size_t* written) {
  return get<Operation>("cublasLtMatmulDescGetAttribute", operation, id, value, size, written);
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference,
                                                            size_t size) {
  return initialise(preference, size, Preference{});
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return cublasLtMatmulPreferenceInit_internal(*preference, sizeof **preference);
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                           cublasLtMatmulPreferenceAttributes_t id,
                                                           const void* value, size_t size) {
  return set<Preference>("cublasLtMatmulPreferenceSetAttribute", preference, id, value, size);
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t preference,
                                                           cublasLtMatmulPreferenceAttributes_t id,
                                                           void* value, size_t size,
                                                           size_t* written) {
  return get<Preference>("cublasLtMatmulPreferenceGetAttribute", preference, id, value, size,
                         written);
}

EXPORT cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                           cublasLtMatmulAlgoConfigAttributes_t id,
                                                           void* value, size_t size,
                                                           size_t* written) {
  return get<Algorithm>("cublasLtMatmulAlgoConfigGetAttribute", algorithm, id, value, size,
                        written);
}

EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t* results,
    int* count) {
  constexpr const char* kFunction = "cublasLtMatmulAlgoGetHeuristic";
  if (!is_good(handle))
    return refuse(kFunction, "the handle is not one", CUBLAS_STATUS_NOT_INITIALIZED);
  if (!operation || !a || !b || !c || !d || !preference || !results || !count)
    return refuse(kFunction, "an argument has no address");
  if (wanted <= 0) return refuse(kFunction, "no algorithm was asked for");
  const auto& wishes = *as<Preference>(preference);
  if (wishes.mark != Preference::kMark)
    return refuse(kFunction, "the preference was not initialised");
  const Problem problem = problem_of(operation, a, b, c, d);
  if (const std::string rule = broken_rule(problem); !rule.empty()) return refuse(kFunction, rule);
  *count = 0;
  for (const Algorithm& algorithm : algorithms_for(problem, wishes)) {
    if (*count == wanted) break;
    cublasLtMatmulHeuristicResult_t& result = results[(*count)++];
    result = {};
    std::memcpy(&result.algo, &algorithm, sizeof algorithm);
    result.workspaceSize = algorithm.workspace_bytes;
    result.state = CUBLAS_STATUS_SUCCESS;
    result.wavesCount = 1;
  }
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              const cublasLtMatmulAlgo_t* algorithm,
                                              cublasLtMatmulHeuristicResult_t* result) {
  constexpr const char* kFunction = "cublasLtMatmulAlgoCheck";
  if (!is_good(handle))
    return refuse(kFunction, "the handle is not one", CUBLAS_STATUS_NOT_INITIALIZED);
  if (!operation || !a || !b || !c || !d || !algorithm || !result)
    return refuse(kFunction, "an argument has no address");
  const Problem problem = problem_of(operation, a, b, c, d);
  if (const std::string rule = broken_rule(problem); !rule.empty()) return refuse(kFunction, rule);
  Algorithm given;
  std::memcpy(static_cast<void*>(&given), algorithm, sizeof given);
  const std::optional<Algorithm> completed = complete(problem, given);
  if (!completed) return refuse(kFunction, "the algorithm does not fit the product");
  *result = {};
  result->workspaceSize = completed->workspace_bytes;
  result->state = CUBLAS_STATUS_SUCCESS;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                     const void* alpha, const void* A, cublasLtMatrixLayout_t a,
                                     const void* B, cublasLtMatrixLayout_t b, const void* beta,
                                     const void* C, cublasLtMatrixLayout_t c, void* D,
                                     cublasLtMatrixLayout_t d,
                                     const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                                     size_t workspace_bytes, cudaStream_t stream) {
  constexpr const char* kFunction = "cublasLtMatmul";
  if (!is_good(handle))
    return refuse(kFunction, "the handle is not one", CUBLAS_STATUS_NOT_INITIALIZED);
  if (!operation || !a || !b || !c || !d) return refuse(kFunction, "a descriptor has no address");
  const Problem problem = problem_of(operation, a, b, c, d);
  if (const std::string rule = broken_rule(problem); !rule.empty()) return refuse(kFunction, rule);
  Algorithm chosen;
  if (algorithm) {
    std::memcpy(static_cast<void*>(&chosen), algorithm, sizeof chosen);
  } else {
    Preference unaligned;
    unaligned.alignment_a = unaligned.alignment_b = unaligned.alignment_c = unaligned.alignment_d =
        1;
    chosen = algorithms_for(problem, unaligned).back();
  }
  return run(problem, {alpha, A, B, beta, C, D, workspace, workspace_bytes}, chosen, stream);
}
