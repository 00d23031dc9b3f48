// Devices, versions, errors, entry points.
#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/kernels.h"
#include "cuda/fake_driver/memory.h"

using namespace linnet::fake_cuda;

namespace {

/// Numbers of an H100 SXM, or of an A100.
int attribute(CUdevice_attribute which) {
  const bool hopper = capability() >= 90;
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return capability() / 10;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return capability() % 10;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return hopper ? 132 : 108;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
      return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      return 64;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
      return 0x7fffffff;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
      return 0xffff;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      return 0xffff;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return 48 << 10;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return most_shared_bytes();
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return most_shared_bytes() + 1024;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
      return 1024;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY:
      return 64 << 10;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return 32;
    case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
      return 0x7fffffff;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      return 2048;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
      return 32;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
      return hopper ? 1980000 : 1410000;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      return hopper ? 2619000 : 1215000;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      return 5120;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return hopper ? 50 << 20 : 40 << 20;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
      return 512;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      return 3;
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
      return hopper;
    case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
    case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
      return 1;
    default:
      return 0;
  }
}

struct ErrorText {
  CUresult status;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA_ERROR_DEVICE_UNAVAILABLE",
     "CUDA-capable device(s) is/are busy or unavailable"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE",
     "the operation cannot be performed in the present state"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS",
     "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT",
     "the launch timed out and was terminated"},
    {CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED",
     "peer access is already enabled"},
    {CUDA_ERROR_NOT_PERMITTED, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "operation would result in a merge of separate capture sequences"},
    {CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
     "capture sequence contains a fork that was not joined"},
    {CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE",
     "the graph update was not performed"},
    {CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const ErrorText* find_error(CUresult status) {
  const auto* found = std::ranges::find(kErrors, status, &ErrorText::status);
  return found == std::end(kErrors) ? nullptr : found;
}

void copy_text(char* to, int length, const std::string& text) {
  if (length <= 0) return;
  const size_t count = std::min<size_t>(text.size(), static_cast<size_t>(length) - 1);
  std::memcpy(to, text.data(), count);
  to[count] = 0;
}

}  // namespace

CUresult CUDAAPI cuInit(unsigned flags) {
  LINNET_FAKE_CUDA_CALL(cuInit, Needs::kNothing) {
    if (flags) fail(CUDA_ERROR_INVALID_VALUE, "flags of cuInit must be 0");
    if (!device_count()) fail(CUDA_ERROR_NO_DEVICE, "there are no devices");
    set_initialized();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDriverGetVersion(int* version) {
  LINNET_FAKE_CUDA_CALL(cuDriverGetVersion, Needs::kNothing) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetCount(int* count) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetCount, Needs::kInitialized) {
    *count = device_count();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGet(CUdevice* device, int ordinal) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGet, Needs::kInitialized) {
    *device = checked_device(ordinal);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetName(char* name, int length, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetName, Needs::kInitialized) {
    checked_device(device);
    copy_text(name, length, capability() >= 90 ? "Emulated H100" : "Emulated A100");
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetUuid, Needs::kInitialized) {
    std::memset(uuid, 0, sizeof *uuid);
    uuid->bytes[15] = static_cast<char>(1 + checked_device(device));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetPCIBusId, Needs::kInitialized) {
    copy_text(id, length, "0000:0" + std::to_string(1 + checked_device(device)) + ":00.0");
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetAttribute, Needs::kInitialized) {
    checked_device(device);
    *value = which == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID ? 1 + device : attribute(which);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceTotalMem(size_t* bytes, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceTotalMem, Needs::kInitialized) {
    checked_device(device);
    *bytes = device_memory();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  LINNET_FAKE_CUDA_CALL(cuDeviceCanAccessPeer, Needs::kInitialized) {
    *can = checked_device(device) != checked_device(peer);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGetErrorName(CUresult status, const char** name) {
  const ErrorText* error = find_error(status);
  *name = error ? error->name : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuGetErrorString(CUresult status, const char** text) {
  const ErrorText* error = find_error(status);
  *text = error ? error->text : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/// The runtime library asks for private tables; without them it says that the driver is too old,
/// and its users go on.
CUresult CUDAAPI cuGetExportTable(const void** table, const CUuuid*) {
  *table = nullptr;
  return CUDA_ERROR_NOT_FOUND;
}

/// The newest form of a function: the headers of this driver's version name no other.
CUresult CUDAAPI cuGetProcAddress(const char* symbol, void** function, int, cuuint64_t,
                                  CUdriverProcAddressQueryResult* result) {
  static void* const self = [] {
    Dl_info here;
    dladdr(reinterpret_cast<void*>(&cuInit), &here);
    return dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  }();
  *function = nullptr;
  const std::string name = symbol == std::string("cuGraphInstantiate")
                               ? "cuGraphInstantiateWithFlags"
                               : std::string(symbol);
  for (const char* version : {"_v4", "_v3", "_v2", ""})
    if (!*function) *function = dlsym(self, (name + version).c_str());
  if (result)
    *result = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
