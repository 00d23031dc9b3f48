#include "cuda/fake_driver/context.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/queue.h"

namespace linnet::fake_cuda {
namespace {

constexpr int kMostDevices = 8;

size_t from_environment(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  if (!text) return otherwise;
  char* rest = nullptr;
  const size_t number = std::strtoull(text, &rest, 10);
  switch (*rest) {
    case 'K':
      return number << 10;
    case 'M':
      return number << 20;
    case 'G':
      return number << 30;
    default:
      return number;
  }
}

thread_local std::vector<Context*> current_stack;

Context* contexts() {
  static Context* all = [] {
    auto* made = new Context[kMostDevices];
    for (int i = 0; i < kMostDevices; ++i) made[i].device = i;
    return made;
  }();
  return all;
}

}  // namespace

int device_count() {
  static const int count = static_cast<int>(
      std::min<size_t>(from_environment("LINNET_FAKE_CUDA_DEVICES", 2), kMostDevices));
  return count;
}

size_t device_memory() {
  static const size_t bytes = from_environment("LINNET_FAKE_CUDA_MEMORY", size_t{16} << 30);
  return bytes;
}

int capability() {
  static const int number = static_cast<int>(from_environment("LINNET_FAKE_CUDA_CAPABILITY", 90));
  return number;
}

int checked_device(CUdevice device) {
  if (device < 0 || device >= device_count())
    fail(CUDA_ERROR_INVALID_DEVICE,
         "device " + std::to_string(device) + " of " + std::to_string(device_count()));
  return device;
}

Context& primary_context(int device) { return contexts()[checked_device(device)]; }
Context* current_context() { return current_stack.empty() ? nullptr : current_stack.back(); }
CUcontext handle_of(Context* context) { return reinterpret_cast<CUcontext>(context); }

Context& checked_context(CUcontext context) {
  for (int i = 0; i < device_count(); ++i)
    if (handle_of(&contexts()[i]) == context && contexts()[i].retained) return contexts()[i];
  fail(CUDA_ERROR_INVALID_CONTEXT, "this is no context, or one that has been released");
}

}  // namespace linnet::fake_cuda

using namespace linnet::fake_cuda;

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDevicePrimaryCtxRetain, Needs::kInitialized) {
    Context& primary = primary_context(device);
    ++primary.retained;
    *context = handle_of(&primary);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDevicePrimaryCtxRelease, Needs::kInitialized) {
    Context& primary = primary_context(device);
    if (!primary.retained) fail(CUDA_ERROR_INVALID_CONTEXT, "released more often than retained");
    if (--primary.retained == 0) finish_device(device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  LINNET_FAKE_CUDA_CALL(cuDevicePrimaryCtxGetState, Needs::kInitialized) {
    *flags = 0;
    *active = primary_context(device).retained > 0;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuDevicePrimaryCtxSetFlags, Needs::kInitialized) {
    checked_device(device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) {
  LINNET_FAKE_CUDA_CALL(cuCtxSetCurrent, Needs::kInitialized) {
    if (!current_stack.empty()) current_stack.pop_back();
    if (context) current_stack.push_back(&checked_context(context));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext* context) {
  LINNET_FAKE_CUDA_CALL(cuCtxGetCurrent, Needs::kInitialized) {
    *context = handle_of(current_context());
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxPushCurrent(CUcontext context) {
  LINNET_FAKE_CUDA_CALL(cuCtxPushCurrent, Needs::kInitialized) {
    current_stack.push_back(&checked_context(context));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxPopCurrent(CUcontext* context) {
  LINNET_FAKE_CUDA_CALL(cuCtxPopCurrent) {
    if (context) *context = handle_of(current_context());
    current_stack.pop_back();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice* device) {
  LINNET_FAKE_CUDA_CALL(cuCtxGetDevice) {
    *device = current_context()->device;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxGetFlags(unsigned* flags) {
  LINNET_FAKE_CUDA_CALL(cuCtxGetFlags) {
    *flags = 0;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxGetApiVersion(CUcontext, unsigned* version) {
  LINNET_FAKE_CUDA_CALL(cuCtxGetApiVersion) {
    *version = 3020;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  LINNET_FAKE_CUDA_CALL(cuCtxGetStreamPriorityRange) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxSynchronize() {
  LINNET_FAKE_CUDA_CALL(cuCtxSynchronize) {
    finish_device(current_context()->device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxEnablePeerAccess(CUcontext peer, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuCtxEnablePeerAccess) {
    const uint32_t bit = 1u << checked_context(peer).device;
    if (current_context()->peers & bit)
      fail(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "access to this device is enabled already");
    current_context()->peers |= bit;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuCtxDisablePeerAccess(CUcontext peer) {
  LINNET_FAKE_CUDA_CALL(cuCtxDisablePeerAccess) {
    current_context()->peers &= ~(1u << checked_context(peer).device);
    return CUDA_SUCCESS;
  };
}
