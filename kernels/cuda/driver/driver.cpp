#include "kernels/cuda/driver/driver.h"

#include <dlfcn.h>

#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

/// The oldest that has every function of the list.
constexpr int kOldestDriver = 12040;

struct Found {
  Driver driver;
  std::string reason;
};

using GetProcAddress = CUresult (*)(const char*, void**, int, cuuint64_t,
                                    CUdriverProcAddressQueryResult*);

/// An empty text, or why the function is not there.
std::string look_up(GetProcAddress get, const char* name, void** function) {
  CUdriverProcAddressQueryResult status;
  const CUresult result = get(name, function, CUDA_VERSION, CU_GET_PROC_ADDRESS_DEFAULT, &status);
  if (result == CUDA_SUCCESS && *function) return {};
  return fmt::format("the driver has no function {}", name);
}

std::string fill(Driver& driver) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* error = dlerror();
    return fmt::format("no CUDA driver was found: {}", error ? error : "libcuda.so.1");
  }
  auto* const get = reinterpret_cast<GetProcAddress>(dlsym(library, "cuGetProcAddress_v2"));
  if (!get) return "the CUDA driver is older than 12.0: it has no cuGetProcAddress_v2";
  std::string missing;
#define LINNET_DRIVER_LOOK_UP(name) \
  if (missing.empty()) missing = look_up(get, #name, reinterpret_cast<void**>(&driver.name));
  LINNET_DRIVER_FUNCTIONS(LINNET_DRIVER_LOOK_UP)
#undef LINNET_DRIVER_LOOK_UP
  if (!missing.empty()) return missing;
  if (const CUresult result = driver.cuInit(0); result != CUDA_SUCCESS)
    return fmt::format("the CUDA driver could not be initialised: error {}",
                       static_cast<int>(result));
  driver.cuDriverGetVersion(&driver.version);
  if (driver.version < kOldestDriver) {
    return fmt::format("the CUDA driver is of version {}.{}, 12.4 is needed", driver.version / 1000,
                       driver.version % 1000 / 10);
  }
  return {};
}

const Found& found() {
  static const Found* found = [] {
    auto* fresh = new Found;
    fresh->reason = fill(fresh->driver);
    return fresh;
  }();
  return *found;
}

}  // namespace

const Driver* find_driver() { return found().reason.empty() ? &found().driver : nullptr; }
const std::string& driver_reason() { return found().reason; }

const Driver& driver() {
  if (!found().reason.empty()) fail<DeviceError>("cuda: {}", found().reason);
  return found().driver;
}

std::string text_of(CUresult result) {
  const Driver* driver = find_driver();
  const char *name = nullptr, *text = nullptr;
  if (driver) {
    driver->cuGetErrorName(result, &name);
    driver->cuGetErrorString(result, &text);
  }
  return fmt::format("{} ({})", text ? text : "unknown error",
                     name ? std::string(name) : std::to_string(static_cast<int>(result)));
}

void check(CUresult result, const char* doing) {
  if (result != CUDA_SUCCESS) fail<DeviceError>("cuda: {}: {}", doing, text_of(result));
}

}  // namespace linnet::cuda
