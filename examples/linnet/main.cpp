// Says what this build of Linnet can use on this machine.
//
//   linnet doctor
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "linnet/build_report.h"
#include "linnet/core.h"
#include "linnet/cuda.h"

namespace {

/// A product on the device against the CPU's.
void try_device(linnet::Device device) {
  try {
    const linnet::Tensor x = linnet::reshape(linnet::arange(0., 12.) / 8.f, {3, 4});
    const linnet::Tensor expected = linnet::matmul(x, x.transpose());
    const linnet::Tensor there = x.to(device);
    const linnet::Tensor got = linnet::matmul(there, there.transpose()).to(linnet::kCpu);
    const bool good = max(abs(got - expected)).item<float>() < 1e-5f;
    std::printf("%s: a product is %s\n", to_string(device).c_str(), good ? "right" : "WRONG");
  } catch (const linnet::Error& error) {
    std::printf("%s: %s\n", to_string(device).c_str(), error.what());
  }
}

int doctor() {
  std::printf("%s%s", linnet::build_report().c_str(), linnet::cuda::report().c_str());
  for (int i = 0; i < linnet::device_count(linnet::DeviceType::kCuda); ++i)
    try_device({linnet::DeviceType::kCuda, static_cast<uint8_t>(i)});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "doctor") {
    try {
      return doctor();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "linnet: %s\n", error.what());
      return 1;
    }
  }
  std::fputs("usage: linnet doctor    what this build can use on this machine\n", stderr);
  return 2;
}
