// The functions of NVRTC, which is loaded at the first kernel that has to be compiled.
#pragma once

#include <nvrtc.h>

#include <string>

namespace linnet::cuda {

// clang-format off
#define LINNET_NVRTC_FUNCTIONS(X)                                                        \
  X(nvrtcVersion) X(nvrtcGetErrorString) X(nvrtcCreateProgram) X(nvrtcDestroyProgram)    \
  X(nvrtcCompileProgram) X(nvrtcGetProgramLogSize) X(nvrtcGetProgramLog)                 \
  X(nvrtcGetCUBINSize) X(nvrtcGetCUBIN)
// clang-format on

struct Nvrtc {
#define LINNET_NVRTC_MEMBER(name) decltype(&::name) name = nullptr;
  LINNET_NVRTC_FUNCTIONS(LINNET_NVRTC_MEMBER)
#undef LINNET_NVRTC_MEMBER
  int major = 0, minor = 0;
  std::string path;
};

/// Null if the library was not found; `nvrtc_reason` says what was looked for.
const Nvrtc* find_nvrtc();
const std::string& nvrtc_reason();

/// Functions of a library at a path. @throws DeviceError if one is missing.
Nvrtc load_nvrtc(const std::string& path, void* handle);

/// The binary of a kernel whose text includes the embedded ones (texts.h).
/// @param architecture `sm_90`.
/// @throws DeviceError with the compiler's words.
std::string compile(const Nvrtc& nvrtc, const std::string& name, const std::string& text,
                    const std::string& architecture);

}  // namespace linnet::cuda
