#include "kernels/cuda/launch/function.h"

#include <vector>

#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/launch/modules.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

struct LoadedModule {
  const char* name;
  CUlibrary library;
};

/// Every embedded module, loaded lazily by the driver.
const std::vector<LoadedModule>& loaded_modules() {
  static const std::vector<LoadedModule>* modules = [] {
    auto* fresh = new std::vector<LoadedModule>;
    for (const EmbeddedModule& module : embedded_modules()) {
      CUlibrary library = nullptr;
      const CUresult result = driver().cuLibraryLoadData(&library, module.begin, nullptr, nullptr,
                                                         0, nullptr, nullptr, 0);
      if (result != CUDA_SUCCESS) {
        fail<DeviceError>("cuda: the kernels '{}' could not be loaded: {}", module.name,
                          text_of(result));
      }
      fresh->push_back({module.name, library});
    }
    return fresh;
  }();
  return *modules;
}

}  // namespace

void* Function::handle() const {
  if (void* const known = handle_.load(std::memory_order_acquire)) return known;
  for (const LoadedModule& module : loaded_modules()) {
    CUkernel kernel = nullptr;
    const CUresult result = driver().cuLibraryGetKernel(&kernel, module.library, name_);
    if (result == CUDA_ERROR_NOT_FOUND) continue;
    if (result != CUDA_SUCCESS)
      fail<DeviceError>("cuda: kernel {} of '{}': {}", name_, module.name, text_of(result));
    handle_.store(kernel, std::memory_order_release);
    return kernel;
  }
  fail<DeviceError>("cuda: no embedded module has a kernel {}", name_);
}

}  // namespace linnet::cuda
