#include "kernels/cuda/jit/nvrtc.h"

#include <dlfcn.h>

#include <array>
#include <vector>

#include "kernels/cuda/driver/libraries.h"
#include "kernels/cuda/jit/texts.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

struct Found {
  std::optional<Nvrtc> nvrtc;
  std::string reason;
};

const Found& found() {
  static const Found* found = [] {
    auto* fresh = new Found;
    constexpr std::array<int, 2> kToolkits{13, 12};
    const Library library = open_library("nvrtc", kToolkits);
    try {
      if (!library.handle) fail_no_library("nvrtc", library);
      fresh->nvrtc = load_nvrtc(library.path, library.handle);
    } catch (const DeviceError& error) {
      fresh->reason = error.what();
    }
    return fresh;
  }();
  return *found;
}

class Program {
 public:
  Program(const Nvrtc& nvrtc, const std::string& name, const std::string& text) : nvrtc_(nvrtc) {
    std::vector<const char*> names, texts;
    for (const EmbeddedText& embedded : embedded_texts()) {
      names.push_back(embedded.name);
      texts.push_back(embedded.text);
    }
    check(nvrtc_.nvrtcCreateProgram(&program_, text.c_str(), (name + ".cu").c_str(),
                                    static_cast<int>(texts.size()), texts.data(), names.data()),
          name);
  }
  ~Program() { nvrtc_.nvrtcDestroyProgram(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string binary(const std::string& name, const std::string& architecture) {
    const std::string target = "--gpu-architecture=" + architecture;
    const char* options[] = {target.c_str(), "--std=c++20"};
    const nvrtcResult result = nvrtc_.nvrtcCompileProgram(program_, 2, options);
    if (result != NVRTC_SUCCESS)
      fail<DeviceError>("cuda: compiling {} for {}: {}\n{}", name, architecture,
                        nvrtc_.nvrtcGetErrorString(result), log());
    size_t size = 0;
    check(nvrtc_.nvrtcGetCUBINSize(program_, &size), name);
    std::string image(size, '\0');
    check(nvrtc_.nvrtcGetCUBIN(program_, image.data()), name);
    return image;
  }

 private:
  void check(nvrtcResult result, const std::string& name) const {
    if (result != NVRTC_SUCCESS)
      fail<DeviceError>("cuda: compiling {}: {}", name, nvrtc_.nvrtcGetErrorString(result));
  }
  std::string log() const {
    size_t size = 0;
    if (nvrtc_.nvrtcGetProgramLogSize(program_, &size) != NVRTC_SUCCESS || size == 0) return {};
    std::string text(size, '\0');
    if (nvrtc_.nvrtcGetProgramLog(program_, text.data()) != NVRTC_SUCCESS) return {};
    text.resize(size - 1);
    return text;
  }

  const Nvrtc& nvrtc_;
  nvrtcProgram program_ = nullptr;
};

}  // namespace

const Nvrtc* find_nvrtc() { return found().nvrtc ? &*found().nvrtc : nullptr; }
const std::string& nvrtc_reason() { return found().reason; }

Nvrtc load_nvrtc(const std::string& path, void* handle) {
  Library library;
  library.handle = handle;
  library.path = path;
  Nvrtc nvrtc;
  nvrtc.path = path;
#define LINNET_NVRTC_LOAD(name) \
  nvrtc.name = reinterpret_cast<decltype(&::name)>(library_function(library, #name));
  LINNET_NVRTC_FUNCTIONS(LINNET_NVRTC_LOAD)
#undef LINNET_NVRTC_LOAD
  nvrtc.nvrtcVersion(&nvrtc.major, &nvrtc.minor);
  // It opens this one by name; where the loader's own search does not find it, it is there already.
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  dlopen(fmt::format("{}libnvrtc-builtins.so.{}.{}", folder, nvrtc.major, nvrtc.minor).c_str(),
         RTLD_NOW | RTLD_LOCAL);
  return nvrtc;
}

std::string compile(const Nvrtc& nvrtc, const std::string& name, const std::string& text,
                    const std::string& architecture) {
  return Program(nvrtc, name, text).binary(name, architecture);
}

}  // namespace linnet::cuda
