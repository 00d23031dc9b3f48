// The fat binaries of the kernels, as they are embedded by the build (cmake/cuda.cmake).
#pragma once

#include <iterator>
#include <span>

namespace linnet::cuda {

struct EmbeddedModule {
  const char* name = nullptr;
  const unsigned char* begin = nullptr;
  const unsigned char* end = nullptr;
};
std::span<const EmbeddedModule> embedded_modules();

}  // namespace linnet::cuda
