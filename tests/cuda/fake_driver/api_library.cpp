// What engines of cuDNN that are compiled at run time look up by name before they plan: functions
// of the linker, and some under the names that they had in the first version.
#include "cuda/fake_driver/call.h"

using namespace linnet::fake_cuda;

extern "C" {

CUresult CUDAAPI cuCtxGetLimit(size_t* value, CUlimit) {
  LINNET_FAKE_CUDA_CALL(cuCtxGetLimit) {
    *value = 1024;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuLaunchCooperativeKernel(CUfunction, unsigned, unsigned, unsigned, unsigned,
                                           unsigned, unsigned, unsigned, CUstream, void**) {
  LINNET_FAKE_CUDA_CALL(cuLaunchCooperativeKernel) {
    fail(CUDA_ERROR_NOT_SUPPORTED, "launches whose blocks wait for each other are not emulated");
    return CUDA_ERROR_NOT_SUPPORTED;
  };
}

CUresult CUDAAPI cuLinkComplete(CUlinkState, void**, size_t*) {
  LINNET_FAKE_CUDA_CALL(cuLinkComplete) { return CUDA_ERROR_NOT_SUPPORTED; };
}

CUresult CUDAAPI cuLinkDestroy(CUlinkState) {
  LINNET_FAKE_CUDA_CALL(cuLinkDestroy) { return CUDA_ERROR_NOT_SUPPORTED; };
}

CUresult CUDAAPI cuLinkCreate(unsigned, CUjit_option*, void**, CUlinkState*) {
  LINNET_FAKE_CUDA_CALL(cuLinkCreate) { return CUDA_ERROR_NOT_SUPPORTED; };
}

CUresult CUDAAPI cuLinkAddData(CUlinkState, CUjitInputType, void*, size_t, const char*, unsigned,
                               CUjit_option*, void**) {
  LINNET_FAKE_CUDA_CALL(cuLinkAddData) { return CUDA_ERROR_NOT_SUPPORTED; };
}

#undef cuCtxPushCurrent
#undef cuCtxPopCurrent
#undef cuLinkCreate
#undef cuLinkAddData

CUresult CUDAAPI cuCtxPushCurrent(CUcontext context) { return cuCtxPushCurrent_v2(context); }
CUresult CUDAAPI cuCtxPopCurrent(CUcontext* context) { return cuCtxPopCurrent_v2(context); }
CUresult CUDAAPI cuLinkCreate(unsigned count, CUjit_option* options, void** values,
                              CUlinkState* state) {
  return cuLinkCreate_v2(count, options, values, state);
}
CUresult CUDAAPI cuLinkAddData(CUlinkState state, CUjitInputType type, void* data, size_t bytes,
                               const char* name, unsigned count, CUjit_option* options,
                               void** values) {
  return cuLinkAddData_v2(state, type, data, bytes, name, count, options, values);
}

}  // extern "C"
