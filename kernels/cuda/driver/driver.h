// The driver's functions, which are looked up in libcuda.so.1 at first use. Nothing of CUDA is
// linked: where there is no driver, `driver()` throws and says what was looked for.
//
//   check(driver().cuStreamSynchronize(stream), "cuda:0: waiting for a stream");
#pragma once

#include <cuda.h>

#include <string>

namespace linnet::cuda {

// clang-format off
#define LINNET_DRIVER_FUNCTIONS(X)                                                                  \
  X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuGetErrorString)                              \
  X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName) X(cuDeviceGetAttribute) X(cuDeviceTotalMem)  \
  X(cuDevicePrimaryCtxRetain) X(cuCtxSetCurrent) X(cuCtxGetCurrent) X(cuMemGetInfo)                  \
  X(cuStreamCreate) X(cuStreamDestroy) X(cuStreamSynchronize) X(cuStreamQuery) X(cuStreamWaitEvent)  \
  X(cuStreamBeginCapture) X(cuStreamEndCapture)                                                      \
  X(cuEventCreate) X(cuEventDestroy) X(cuEventRecord) X(cuEventQuery) X(cuEventSynchronize)          \
  X(cuEventElapsedTime)                                                                              \
  X(cuDeviceGetDefaultMemPool) X(cuMemPoolSetAttribute) X(cuMemPoolGetAttribute) X(cuMemPoolTrimTo)  \
  X(cuMemAllocAsync) X(cuMemFreeAsync) X(cuMemHostAlloc) X(cuMemFreeHost)                            \
  X(cuMemcpyHtoDAsync) X(cuMemcpyDtoHAsync) X(cuMemcpyDtoDAsync) X(cuMemcpyPeerAsync)                \
  X(cuMemsetD32Async) X(cuLaunchHostFunc)                                                            \
  X(cuLibraryLoadData) X(cuLibraryUnload) X(cuLibraryGetKernel) X(cuKernelSetAttribute)              \
  X(cuKernelGetFunction) X(cuFuncSetAttribute) X(cuLaunchKernel)                                     \
  X(cuGraphCreate) X(cuGraphDestroy) X(cuGraphAddKernelNode) X(cuGraphAddMemcpyNode)                 \
  X(cuGraphAddMemsetNode) X(cuGraphAddChildGraphNode) X(cuGraphInstantiateWithFlags)                 \
  X(cuGraphExecKernelNodeSetParams) X(cuGraphExecMemcpyNodeSetParams)                                \
  X(cuGraphExecMemsetNodeSetParams) X(cuGraphExecChildGraphNodeSetParams)                            \
  X(cuGraphExecDestroy) X(cuGraphLaunch)
// clang-format on

/// Members have the names of the functions. cuda.h renames some to their versions; so it does here.
struct Driver {
#define LINNET_DRIVER_MEMBER(name) decltype(&::name) name = nullptr;
  LINNET_DRIVER_FUNCTIONS(LINNET_DRIVER_MEMBER)
#undef LINNET_DRIVER_MEMBER
  int version = 0;  ///< of the driver: 13000 is 13.0
};

/// Null if there is no driver, or one that is too old; `driver_reason` says why.
const Driver* find_driver();
const std::string& driver_reason();
/// @throws DeviceError with the reason if there is none.
const Driver& driver();

/// `out of memory (CUDA_ERROR_OUT_OF_MEMORY)`.
std::string text_of(CUresult result);
/// @throws DeviceError with what was being done unless `result` is success.
void check(CUresult result, const char* doing);

}  // namespace linnet::cuda
