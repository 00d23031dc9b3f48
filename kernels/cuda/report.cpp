// What was found, for people who ask why something is missing.
#include <array>

#include "kernels/cuda/cudnn/frontend.h"
#include "kernels/cuda/cudnn/library.h"
#include "kernels/cuda/driver/libraries.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

constexpr std::array<int, 2> kToolkits{13, 12};
constexpr std::array<int, 1> kCudnn{9};

std::string line_of(std::string_view name, std::span<const int> versions) {
  const Library library = open_library(name, versions);
  if (library.handle) return fmt::format("lib{}: {}\n", name, library.path);
  std::string out = fmt::format("lib{}: not found; tried:\n", name);
  for (const std::string& place : library.tried) out += "    " + place + "\n";
  return out;
}

std::string devices() {
  std::string out;
  for (int i = 0; i < Gpu::count(); ++i) {
    try {
      const DeviceProperties& p = Gpu::at(i).properties();
      out += fmt::format("cuda:{}: {}, compute capability {}.{}, {} multiprocessors, {:.1f} GiB\n",
                         i, p.name, p.major, p.minor, p.multiprocessors,
                         static_cast<double>(p.memory_bytes) / (size_t{1} << 30));
    } catch (const Error& error) {
      out += std::string(error.what()) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string report() {
  std::string out = fmt::format("CUDA back end: built with toolkit {}.{}\n", CUDA_VERSION / 1000,
                                CUDA_VERSION % 1000 / 10);
  if (const Driver* found = find_driver()) {
    out += fmt::format("driver: {}.{}, {} devices\n", found->version / 1000,
                       found->version % 1000 / 10, Gpu::count());
    out += devices();
  } else {
    out += "driver: " + driver_reason() + "\n";
  }
  out += line_of("cublasLt", kToolkits) + line_of("cudnn", kCudnn);
  if (const cudnn::Library* found = cudnn::find_library())
    out += "    " + cudnn::versions(*found) + "\n";
  return out + line_of("nvrtc", kToolkits);
}

}  // namespace linnet::cuda
