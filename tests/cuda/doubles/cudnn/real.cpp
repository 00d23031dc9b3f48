#include "cuda/doubles/cudnn/real.h"

#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace linnet::fake_cudnn {
namespace {

using cuda::cudnn::Library;

const Library* open() {
  const char* const wanted = std::getenv("LINNET_FAKE_CUDNN_REAL");
  if (wanted && std::string(wanted) == "0") return nullptr;
  void* const handle = dlopen(LINNET_REAL_CUDNN, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return nullptr;
  auto* library = new Library;
  bool complete = true;
#define LINNET_CUDNN_LOOK_UP(name)                                                 \
  library->name = reinterpret_cast<decltype(library->name)>(dlsym(handle, #name)); \
  complete = complete && library->name;
  LINNET_CUDNN_FUNCTIONS(LINNET_CUDNN_LOOK_UP)
#undef LINNET_CUDNN_LOOK_UP
  return complete ? library : nullptr;
}

std::string properties() {
  const char* const capability = std::getenv("LINNET_FAKE_CUDA_CAPABILITY");
  const bool is_ampere = capability && std::string(capability) == "80";
  std::ifstream file(std::string(LINNET_DEVICE_PROPERTIES) +
                     (is_ampere ? "/a100.json" : "/h100.json"));
  return {std::istreambuf_iterator<char>(file), {}};
}

cudnnBackendDescriptor_t describe_device() {
  const Library& real = *real_library();
  const std::string text = properties();
  cudnnBackendDescriptor_t device = nullptr;
  if (real.cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device))
    return nullptr;
  real.cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                static_cast<int64_t>(text.size()), text.data());
  return real.cudnnBackendFinalize(device) ? nullptr : device;
}

}  // namespace

const Library* real_library() {
  static const Library* const library = open();
  return library;
}

cudnnBackendDescriptor_t real_device() {
  static cudnnBackendDescriptor_t const device = describe_device();
  return device;
}

}  // namespace linnet::fake_cudnn
