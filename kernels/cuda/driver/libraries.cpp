#include "kernels/cuda/driver/libraries.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "linnet/detail/format.h"

#ifndef LINNET_CUDA_LIBRARY_FOLDER
#define LINNET_CUDA_LIBRARY_FOLDER ""
#endif

namespace linnet::cuda {
namespace {

namespace files = std::filesystem;

void add_python_folders(std::vector<std::string>& folders) {
  const char* environment = std::getenv("VIRTUAL_ENV");
  if (!environment) return;
  std::error_code error;
  for (const auto& python : files::directory_iterator(files::path(environment) / "lib", error)) {
    const files::path packages = python.path() / "site-packages" / "nvidia";
    for (const auto& package : files::directory_iterator(packages, error)) {
      if (files::is_directory(package.path() / "lib", error))
        folders.push_back((package.path() / "lib").string());
    }
  }
}

/// In the order of search; the empty one is the loader's own.
std::vector<std::string> folders() {
  std::vector<std::string> out;
  if (const char* chosen = std::getenv("LINNET_CUDA_PATH"); chosen && *chosen) {
    const std::string path = chosen;
    out.insert(out.end(), {path, path + "/lib64", path + "/lib"});
  }
  if (*LINNET_CUDA_LIBRARY_FOLDER) out.push_back(LINNET_CUDA_LIBRARY_FOLDER);
  add_python_folders(out);
  out.emplace_back();
  return out;
}

}  // namespace

Library open_library(std::string_view name, std::span<const int> versions) {
  Library library;
  for (const std::string& folder : folders()) {
    for (const int version : versions) {
      const std::string file = fmt::format("lib{}.so.{}", name, version);
      const std::string path = folder.empty() ? file : folder + "/" + file;
      library.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library.handle) {
        library.path = path;
        return library;
      }
      const char* error = dlerror();
      library.tried.push_back(error ? error : path);
    }
  }
  return library;
}

void fail_no_library(std::string_view name, const Library& library) {
  std::string tried;
  for (const std::string& place : library.tried) tried += "\n  " + place;
  fail<DeviceError>(
      "cuda: the library lib{} was not found; LINNET_CUDA_PATH may name its folder. Tried:{}", name,
      tried);
}

void* library_function(const Library& library, const char* name) {
  void* const function = dlsym(library.handle, name);
  if (!function) fail<DeviceError>("cuda: {} has no function {}", library.path, name);
  return function;
}

}  // namespace linnet::cuda
