// The functions of libcudnn.so.9 that are used, looked up at run time.
#pragma once

#include <cudnn.h>

#include <string>

namespace linnet::cuda::cudnn {

// clang-format off
#define LINNET_CUDNN_FUNCTIONS(X)                                                                   \
  X(cudnnGetVersion) X(cudnnGetErrorString) X(cudnnGetLastErrorString)                               \
  X(cudnnCreate) X(cudnnDestroy) X(cudnnSetStream) X(cudnnGetStream)                                 \
  X(cudnnBackendCreateDescriptor) X(cudnnBackendDestroyDescriptor)                                   \
  X(cudnnBackendSetAttribute) X(cudnnBackendGetAttribute) X(cudnnBackendFinalize)                    \
  X(cudnnBackendExecute)
// clang-format on

struct Library {
#define LINNET_CUDNN_MEMBER(name) decltype(&::name) name = nullptr;
  LINNET_CUDNN_FUNCTIONS(LINNET_CUDNN_MEMBER)
#undef LINNET_CUDNN_MEMBER
  std::string path;
};

/// Looks the functions up in an open library.
/// @throws DeviceError naming a function that is not there.
Library library_of(void* handle, std::string path);

/// The library of this machine; null if there is none, and `library_reason` says what was tried.
const Library* find_library();
const std::string& library_reason();

}  // namespace linnet::cuda::cudnn
