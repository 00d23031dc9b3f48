// Runs a kernel of kernels/cuda/conformance. Each program with these tests has its own way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace linnet::cuda {

struct Blocks {
  uint32_t x = 1, y = 1, z = 1;
};

struct ConformanceLaunch {
  const char* kernel;
  uint32_t threads;  ///< of a block
  Blocks blocks = {};
  uint32_t shared_bytes = 0;
  int count = 0;
};

/// @return the kernel's `out`, of `words` words that were 0.
std::vector<uint32_t> run_conformance(const ConformanceLaunch& launch,
                                      const std::vector<uint32_t>& in, size_t words);

/// Every order in which the device at hand can run threads; the name of each, for messages.
std::vector<std::string> conformance_orders();
void use_order(size_t index);

}  // namespace linnet::cuda
