// The texts that generated kernels include, as they are embedded by the build (cmake/cuda.cmake).
#pragma once

#include <span>

namespace linnet::cuda {

struct EmbeddedText {
  const char* name;  ///< as it is included
  const char* text;  ///< ends with zero
};
std::span<const EmbeddedText> embedded_texts();

}  // namespace linnet::cuda
