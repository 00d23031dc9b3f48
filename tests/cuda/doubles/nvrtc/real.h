// The NVRTC of the toolkit that the tests were built with.
#pragma once

#include <nvrtc.h>

#include <string>
#include <vector>

namespace linnet::fake_nvrtc {

/// A function of the real library; null if the library is not there.
void* real_function(const char* name);

/// Calls a function of the real library, or says that it has an error of its own.
#define LINNET_REAL_NVRTC(name, ...)                                       \
  [&]() -> nvrtcResult {                                                   \
    static void* const found = ::linnet::fake_nvrtc::real_function(#name); \
    return found ? reinterpret_cast<decltype(&::name)>(found)(__VA_ARGS__) \
                 : NVRTC_ERROR_BUILTIN_OPERATION_FAILURE;                  \
  }()

/// A text to be compiled, and what it may include.
struct Source {
  std::string name, text;
  std::vector<std::string> include_names, includes;
};

/// A program of the real library. @returns null, and the error, if it cannot be made.
nvrtcProgram make_real_program(const Source& source, nvrtcResult* result);
std::string log_of(nvrtcProgram program);

}  // namespace linnet::fake_nvrtc
