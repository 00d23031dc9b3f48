// What the CUDA back end found and did. Here whether it is built or not; using devices needs
// linnet/device.h only.
//
//   std::puts(linnet::cuda::report().c_str());
//   const auto before = linnet::cuda::statistics();
#pragma once

#include <cstdint>
#include <string>

#pragma GCC visibility push(default)

namespace linnet::cuda {

/// Text of several lines: the driver, the devices, each library with the place where it was found
/// or all that were tried, where compiled kernels are kept; or why the build has no CUDA back end.
std::string report();

/// Counters of one device since the start of the process.
struct Statistics {
  uint64_t launches = 0;       ///< own kernels
  uint64_t library_calls = 0;  ///< kernels of cuBLASLt and cuDNN, and those of the host
  uint64_t host_kernels = 0;   ///< operations that the CPU computed on copied operands
  uint64_t copies = 0;         ///< on the device
  uint64_t uploads = 0, downloads = 0;
  uint64_t waits = 0;       ///< the host waited for the device
  uint64_t graph_runs = 0;  ///< parts of programs that ran as a graph
};
/// @throws DeviceError if there is no such device.
Statistics statistics(int index = 0);

}  // namespace linnet::cuda

#pragma GCC visibility pop
