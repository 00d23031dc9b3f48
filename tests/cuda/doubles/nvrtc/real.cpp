#include "cuda/doubles/nvrtc/real.h"

#include <dlfcn.h>

#include <filesystem>

namespace linnet::fake_nvrtc {
namespace {

namespace files = std::filesystem;

/// It opens its built-in functions by name, so that they must be there before.
void* open_real() {
  std::error_code error;
  const files::path nvcc = files::canonical(LINNET_TOOLKIT_NVCC, error);
  const files::path toolkit = nvcc.parent_path().parent_path();
  for (const char* folder : {"lib64", "lib", "targets/x86_64-linux/lib"}) {
    const files::path library = toolkit / folder / "libnvrtc.so.13";
    if (!files::exists(library, error)) continue;
    dlopen((toolkit / folder / "libnvrtc-builtins.so.13.0").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  }
  return nullptr;
}

}  // namespace

void* real_function(const char* name) {
  static void* const library = open_real();
  return library ? dlsym(library, name) : nullptr;
}

nvrtcProgram make_real_program(const Source& source, nvrtcResult* result) {
  std::vector<const char*> names, texts;
  for (const std::string& name : source.include_names) names.push_back(name.c_str());
  for (const std::string& text : source.includes) texts.push_back(text.c_str());
  nvrtcProgram program = nullptr;
  *result =
      LINNET_REAL_NVRTC(nvrtcCreateProgram, &program, source.text.c_str(), source.name.c_str(),
                        static_cast<int>(texts.size()), texts.data(), names.data());
  return program;
}

std::string log_of(nvrtcProgram program) {
  size_t bytes = 0;
  if (LINNET_REAL_NVRTC(nvrtcGetProgramLogSize, program, &bytes) != NVRTC_SUCCESS || bytes == 0)
    return {};
  std::string log(bytes, '\0');
  LINNET_REAL_NVRTC(nvrtcGetProgramLog, program, log.data());
  log.resize(bytes - 1);
  return log;
}

}  // namespace linnet::fake_nvrtc
