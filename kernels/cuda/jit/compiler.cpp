#include "kernels/cuda/jit/compiler.h"

#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/jit/cluster_args.h"
#include "kernels/cuda/jit/disk_cache.h"
#include "kernels/cuda/jit/nvrtc.h"
#include "kernels/cuda/jit/texts.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet::cuda {
namespace {

/// A function and the name that it points to.
struct Loaded {
  std::string name;
  std::unique_ptr<Function> function;
};
struct Known {
  std::mutex mutex;
  std::map<std::string, Loaded> functions;
};
Known& known() {
  static Known* known = new Known;  // never destroyed: exit handlers may compute
  return *known;
}

/// Everything that the binary depends on.
std::string key_of(const ClusterSource& source, const Nvrtc& nvrtc,
                   const std::string& architecture) {
  std::string key =
      fmt::format("NVRTC {}.{} for {}\n", nvrtc.major, nvrtc.minor, architecture) + source.text;
  for (const EmbeddedText& embedded : embedded_texts()) {
    key += embedded.name;
    key += embedded.text;
  }
  return key;
}

/// Null, and what the driver says, if it does not take the image.
CUkernel load(const std::string& image, const std::string& name, CUresult& result) {
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  result =
      driver().cuLibraryLoadData(&library, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  if (result != CUDA_SUCCESS) return nullptr;
  result = driver().cuLibraryGetKernel(&kernel, library, name.c_str());
  if (result == CUDA_SUCCESS) return kernel;
  driver().cuLibraryUnload(library);
  return nullptr;
}

CUkernel compiled(const ClusterSource& source, const Nvrtc& nvrtc) {
  const std::string architecture = fmt::format("sm_{}", device_properties().architecture());
  const std::string key = key_of(source, nvrtc, architecture);
  CUresult result = CUDA_SUCCESS;
  if (const auto kept = find_compiled(key)) {
    if (CUkernel kernel = load(*kept, source.name, result)) return kernel;
    log_warning(fmt::format("cuda: {} is not loaded ({}); the kernel is compiled again",
                            compiled_file(key), text_of(result)));
  }
  const std::string image = compile(nvrtc, source.name, source.text, architecture);
  CUkernel kernel = load(image, source.name, result);
  if (!kernel) fail<DeviceError>("cuda: loading {}: {}", source.name, text_of(result));
  keep_compiled(key, image);
  return kernel;
}

}  // namespace

const Function* compiled_cluster(const ClusterSource& source, std::string& reason) {
  const Nvrtc* nvrtc = find_nvrtc();
  if (!nvrtc) {
    reason = nvrtc_reason();
    return nullptr;
  }
  const std::lock_guard lock(known().mutex);
  Loaded& entry = known().functions[source.name];
  if (entry.function) return entry.function.get();
  CUkernel kernel = compiled(source, *nvrtc);
  entry.name = source.name;
  entry.function = std::make_unique<Function>(entry.name.c_str(), kClusterThreads, kernel);
  if (log_enabled("cuda")) log_line("cuda", "compiled " + source.name);
  return entry.function.get();
}

}  // namespace linnet::cuda
