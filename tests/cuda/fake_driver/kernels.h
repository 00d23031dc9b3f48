// Libraries of kernels. A kernel of the product's modules is found by its name among those that g++
// compiled; one of another library is known, but cannot be launched.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/emulator/machine.h"
#include "cuda/fake_driver/action.h"
#include "cuda/fake_driver/fake_driver.h"

namespace linnet::fake_cuda {

struct Library;

class Kernel {
 public:
  Library* library = nullptr;
  std::string name;
  const cuda::emulator::KernelEntry* entry = nullptr;  ///< null: not emulated
  int dynamic_shared[8];                               ///< most that each device allows

  Kernel();
  int threads() const { return entry ? static_cast<int>(entry->threads) : 1024; }
};

struct Library {
  std::vector<char> image;  ///< a copy of an ELF file; empty for others
  void* object = nullptr;   ///< shared object of emulated kernels
  bool unloaded = false;
  std::unordered_map<std::string, std::unique_ptr<Kernel>> kernels;
};

Library& load_library(const void* image);
Library& checked_library(CUlibrary library);
/// @throws Failure if the library has no such kernel.
Kernel& kernel_of(Library& library, const std::string& name);
Kernel& checked_kernel(const void* handle);

/// What a launch is made of.
struct LaunchShape {
  uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
  uint32_t shared_bytes = 0;
};
/// Applies the rules of launches and copies the parameters.
KernelAction make_launch(const Kernel& kernel, const LaunchShape& shape, void** parameters,
                         void** extra, int device);
void run_kernel(const KernelAction& action, int device);

/// Most dynamic shared memory of a block after opting in.
int most_shared_bytes();

}  // namespace linnet::fake_cuda
