// The product's kernels, by name, on the bare machine.
#pragma once

#include <string>

#include "cuda/emulator/machine.h"

namespace linnet::cuda {

/// @throws std::runtime_error if there is none.
const emulator::KernelEntry& kernel_named(const std::string& name);

/// The pointer as a kernel's parameter.
template <class Pointer, class T>
Pointer device_pointer(T* at) {
  return {reinterpret_cast<uintptr_t>(at)};
}

}  // namespace linnet::cuda
