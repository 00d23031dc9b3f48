#include "kernels/cuda/cudnn/session.h"

#include <array>
#include <mutex>

#include "kernels/cuda/cudnn/library.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda::cudnn {
namespace {

void check(const Library& library, cudnnStatus_t status, const char* doing) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  fail<DeviceError>("cuda: {}: {}", doing, library.cudnnGetErrorString(status));
}

/// Lives for ever: at the end of a process the driver may be gone first.
cudnnHandle_t handle_of(Gpu& gpu) {
  static std::mutex mutex;
  static std::array<cudnnHandle_t, 256> handles{};
  const std::lock_guard lock(mutex);
  cudnnHandle_t& handle = handles[gpu.device().index];
  if (!handle) {
    gpu.make_current();
    const Library& library = *find_library();
    check(library, library.cudnnCreate(&handle), "starting cuDNN");
  }
  return handle;
}

struct FoundContext {
  Context context;
  std::string reason;
};

FoundContext look_for_context() {
  FoundContext found;
  if (Gpu::count() == 0) {
    found.reason = "no device to plan for";
  } else if (!find_library()) {
    found.reason = library_reason();
  } else {
    try {
      found.context = {.library = find_library(),
                       .handle = handle_of(Gpu::at(0)),
                       .properties = {},
                       .architecture = device_properties().architecture()};
    } catch (const DeviceError& error) {
      found.reason = error.what();
    }
  }
  return found;
}

}  // namespace

const Context* find_context(std::string& reason) {
  static const FoundContext* found = new FoundContext(look_for_context());
  reason = found->reason;
  return found->reason.empty() ? &found->context : nullptr;
}

void* handle_on(void* stream) {
  const Library& library = *find_library();
  cudnnHandle_t const handle = handle_of(Gpu::of_stream(static_cast<CUstream>(stream)));
  check(library, library.cudnnSetStream(handle, static_cast<cudaStream_t>(stream)),
        "choosing the stream of cuDNN");
  return handle;
}

}  // namespace linnet::cuda::cudnn
