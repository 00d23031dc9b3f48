#include "kernels/cuda/cublas/api.h"

#include <array>
#include <mutex>

#include "kernels/cuda/driver/libraries.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

constexpr int kVersions[] = {13, 12};

struct Found {
  CublasLt library;
  std::string reason;
};

void look_up(CublasLt& library) {
  const Library found = open_library("cublasLt", kVersions);
  if (!found.handle) fail_no_library("cublasLt", found);
#define LINNET_CUBLASLT_LOOK_UP(name) \
  library.name = reinterpret_cast<decltype(&::name)>(library_function(found, #name));
  LINNET_CUBLASLT_FUNCTIONS(LINNET_CUBLASLT_LOOK_UP)
#undef LINNET_CUBLASLT_LOOK_UP
  library.version = library.cublasLtGetVersion();
  library.path = found.path;
}

const Found& found() {
  static const Found* found = [] {
    auto* fresh = new Found;
    try {
      look_up(fresh->library);
    } catch (const DeviceError& error) {
      fresh->reason = error.what();
    }
    return fresh;
  }();
  return *found;
}

}  // namespace

const CublasLt* find_cublaslt() { return found().reason.empty() ? &found().library : nullptr; }
const std::string& cublaslt_reason() { return found().reason; }

const CublasLt& cublaslt() {
  if (!found().reason.empty()) fail<DeviceError>("{}", found().reason);
  return found().library;
}

cublasLtHandle_t handle_of(const Gpu& gpu) {
  static std::mutex mutex;
  static std::array<cublasLtHandle_t, 256> handles{};
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& handle = handles[gpu.device().index];
  if (!handle) check(cublaslt().cublasLtCreate(&handle), "making a handle of cuBLASLt");
  return handle;
}

std::string text_of(cublasStatus_t status) { return cublaslt().cublasLtGetStatusName(status); }

void check(cublasStatus_t status, const char* doing) {
  if (status != CUBLAS_STATUS_SUCCESS) fail<DeviceError>("cuda: {}: {}", doing, text_of(status));
}

}  // namespace linnet::cuda
