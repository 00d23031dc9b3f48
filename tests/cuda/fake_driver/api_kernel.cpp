// Libraries, kernels, launches, occupancy.
#include <algorithm>
#include <fstream>
#include <iterator>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/kernels.h"
#include "cuda/fake_driver/queue.h"

using namespace linnet::fake_cuda;

namespace {

int get_attribute(const Kernel& kernel, CUfunction_attribute which, int device) {
  switch (which) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return kernel.threads();
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return 32;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      return capability();
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return kernel.dynamic_shared[device];
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return -1;
    default:
      return 0;
  }
}

void set_attribute(Kernel& kernel, CUfunction_attribute which, int value, int device) {
  if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    if (value < 0 || value > most_shared_bytes())
      fail(CUDA_ERROR_INVALID_VALUE, kernel.name + ": " + std::to_string(value) +
                                         " bytes of shared memory, a block has " +
                                         std::to_string(most_shared_bytes()));
    kernel.dynamic_shared[device] = value;
    return;
  }
  const bool harmless = which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT ||
                        which == CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED;
  if (!harmless) fail(CUDA_ERROR_INVALID_VALUE, "this attribute of a kernel cannot be set");
}

CUresult launch(const void* function, const LaunchShape& shape, CUstream handle, void** parameters,
                void** extra) {
  const Kernel& kernel = checked_kernel(function);
  const Stream& stream = checked_stream(handle);
  if (stream.device != current_context()->device)
    fail(CUDA_ERROR_INVALID_HANDLE, kernel.name + ": the stream is of another device");
  submit(handle, make_launch(kernel, shape, parameters, extra, stream.device));
  return CUDA_SUCCESS;
}

CUresult parameter_info(const Kernel& kernel, size_t index, size_t* offset, size_t* size) {
  if (!kernel.entry || index) return CUDA_ERROR_INVALID_VALUE;
  *offset = 0;
  if (size) *size = kernel.entry->parameter_bytes;
  return CUDA_SUCCESS;
}

/// Blocks of a multiprocessor by threads and shared memory.
int active_blocks(int threads, size_t shared_bytes) {
  if (threads <= 0) fail(CUDA_ERROR_INVALID_VALUE, "blocks without threads");
  const size_t by_threads = 2048 / (static_cast<size_t>(threads + 31) / 32 * 32);
  const size_t by_memory = static_cast<size_t>(most_shared_bytes() + 1024) / (shared_bytes + 1024);
  return static_cast<int>(std::min<size_t>({32, by_threads, by_memory}));
}

uint32_t cluster_size(const CUlaunchConfig& config) {
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config.attrs[i];
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
      return attribute.value.clusterDim.x * attribute.value.clusterDim.y *
             attribute.value.clusterDim.z;
  }
  return 1;
}

}  // namespace

CUresult CUDAAPI cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option*, void**,
                                   unsigned, CUlibraryOption*, void**, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuLibraryLoadData, Needs::kInitialized) {
    *library = reinterpret_cast<CUlibrary>(&load_library(code));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuLibraryLoadFromFile(CUlibrary* library, const char* path, CUjit_option*, void**,
                                       unsigned, CUlibraryOption*, void**, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuLibraryLoadFromFile, Needs::kInitialized) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(CUDA_ERROR_FILE_NOT_FOUND, std::string("no file ") + path);
    const std::string image{std::istreambuf_iterator<char>(file), {}};
    *library = reinterpret_cast<CUlibrary>(&load_library(image.c_str()));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuLibraryUnload(CUlibrary library) {
  LINNET_FAKE_CUDA_CALL(cuLibraryUnload, Needs::kInitialized) {
    checked_library(library).unloaded = true;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  LINNET_FAKE_CUDA_CALL(cuLibraryGetKernel, Needs::kInitialized) {
    *kernel = reinterpret_cast<CUkernel>(&kernel_of(checked_library(library), name));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  LINNET_FAKE_CUDA_CALL(cuKernelGetFunction) {
    *function = reinterpret_cast<CUfunction>(&checked_kernel(kernel));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelGetLibrary(CUlibrary* library, CUkernel kernel) {
  LINNET_FAKE_CUDA_CALL(cuKernelGetLibrary, Needs::kInitialized) {
    *library = reinterpret_cast<CUlibrary>(checked_kernel(kernel).library);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelGetName(const char** name, CUkernel kernel) {
  LINNET_FAKE_CUDA_CALL(cuKernelGetName, Needs::kInitialized) {
    *name = checked_kernel(kernel).name.c_str();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuFuncGetName(const char** name, CUfunction function) {
  LINNET_FAKE_CUDA_CALL(cuFuncGetName, Needs::kInitialized) {
    *name = checked_kernel(function).name.c_str();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelGetAttribute(int* value, CUfunction_attribute which, CUkernel kernel,
                                      CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuKernelGetAttribute, Needs::kInitialized) {
    *value = get_attribute(checked_kernel(kernel), which, checked_device(device));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelSetAttribute(CUfunction_attribute which, int value, CUkernel kernel,
                                      CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuKernelSetAttribute, Needs::kInitialized) {
    set_attribute(checked_kernel(kernel), which, value, checked_device(device));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache, CUdevice) {
  LINNET_FAKE_CUDA_CALL(cuKernelSetCacheConfig, Needs::kInitialized) {
    checked_kernel(kernel);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t* offset, size_t* size) {
  LINNET_FAKE_CUDA_CALL(cuKernelGetParamInfo, Needs::kInitialized) {
    return parameter_info(checked_kernel(kernel), index, offset, size);
  };
}

CUresult CUDAAPI cuFuncGetParamInfo(CUfunction function, size_t index, size_t* offset,
                                    size_t* size) {
  LINNET_FAKE_CUDA_CALL(cuFuncGetParamInfo, Needs::kInitialized) {
    return parameter_info(checked_kernel(function), index, offset, size);
  };
}

CUresult CUDAAPI cuFuncGetAttribute(int* value, CUfunction_attribute which, CUfunction function) {
  LINNET_FAKE_CUDA_CALL(cuFuncGetAttribute) {
    *value = get_attribute(checked_kernel(function), which, current_context()->device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
  LINNET_FAKE_CUDA_CALL(cuFuncSetAttribute) {
    set_attribute(checked_kernel(function), which, value, current_context()->device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuFuncSetCacheConfig(CUfunction function, CUfunc_cache) {
  LINNET_FAKE_CUDA_CALL(cuFuncSetCacheConfig) {
    checked_kernel(function);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuFuncLoad(CUfunction function) {
  LINNET_FAKE_CUDA_CALL(cuFuncLoad) {
    checked_kernel(function);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                unsigned grid_z, unsigned block_x, unsigned block_y,
                                unsigned block_z, unsigned shared_bytes, CUstream stream,
                                void** parameters, void** extra) {
  LINNET_FAKE_CUDA_CALL(cuLaunchKernel) {
    const LaunchShape shape{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
    return launch(function, shape, stream, parameters, extra);
  };
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function,
                                  void** parameters, void** extra) {
  LINNET_FAKE_CUDA_CALL(cuLaunchKernelEx) {
    if (cluster_size(*config) > 1)
      fail(CUDA_ERROR_NOT_SUPPORTED, "clusters of blocks are not emulated");
    const LaunchShape shape{{config->gridDimX, config->gridDimY, config->gridDimZ},
                            {config->blockDimX, config->blockDimY, config->blockDimZ},
                            config->sharedMemBytes};
    return launch(function, shape, config->hStream, parameters, extra);
  };
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function,
                                                             int threads, size_t shared_bytes) {
  LINNET_FAKE_CUDA_CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor, Needs::kInitialized) {
    checked_kernel(function);
    *blocks = active_blocks(threads, shared_bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, CUfunction function, int threads, size_t shared_bytes, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, Needs::kInitialized) {
    checked_kernel(function);
    *blocks = active_blocks(threads, shared_bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, CUfunction function,
                                                         int blocks, int) {
  LINNET_FAKE_CUDA_CALL(cuOccupancyAvailableDynamicSMemPerBlock, Needs::kInitialized) {
    checked_kernel(function);
    if (blocks <= 0) fail(CUDA_ERROR_INVALID_VALUE, "no blocks");
    *bytes = static_cast<size_t>((most_shared_bytes() + 1024) / blocks - 1024);
    return CUDA_SUCCESS;
  };
}

/// Zero would make engines that need clusters decline.
CUresult CUDAAPI cuOccupancyMaxPotentialClusterSize(int* size, CUfunction, const CUlaunchConfig*) {
  LINNET_FAKE_CUDA_CALL(cuOccupancyMaxPotentialClusterSize, Needs::kInitialized) {
    *size = capability() >= 90 ? 8 : 1;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuOccupancyMaxActiveClusters(int* clusters, CUfunction,
                                              const CUlaunchConfig* config) {
  LINNET_FAKE_CUDA_CALL(cuOccupancyMaxActiveClusters, Needs::kInitialized) {
    *clusters = static_cast<int>(132 / cluster_size(*config));
    return CUDA_SUCCESS;
  };
}
