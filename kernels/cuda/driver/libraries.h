// Finds the shared libraries of the toolkit at run time.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace linnet::cuda {

struct Library {
  void* handle = nullptr;  ///< null if it was not found
  std::string path;
  std::vector<std::string> tried;  ///< each place, with what the loader said
};

/// Opens `lib<name>.so.<version>`, the versions in order, in the folders LINNET_CUDA_PATH (itself,
/// lib64, lib), that of the toolkit that Linnet was built with, `nvidia/*/lib` of an active Python
/// environment, and wherever the system's loader looks.
Library open_library(std::string_view name, std::span<const int> versions);

/// @throws DeviceError naming the library and each place that was tried.
[[noreturn]] void fail_no_library(std::string_view name, const Library& library);

/// A function of a library. @throws DeviceError if it has none of this name.
void* library_function(const Library& library, const char* name);

}  // namespace linnet::cuda
