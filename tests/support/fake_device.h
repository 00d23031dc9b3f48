// A second kind of device for tests, in two copies, `ext:0` and `ext:1` to the library.
//
// It differs from the CPU in everything that a real accelerator does: host code cannot touch its
// memory (an address is a segmentation fault), work is queued and done as late as possible, fresh
// memory is full of NaN, and kernels describe their launches. What they compute is what the CPU's
// kernels compute, on another mapping of the same memory, so results are equal bit for bit.
//
//   const Device fake = fake_device();
//   Tensor y = exp(tensor({1.f, 2.f}).to(fake));      // nothing has been computed yet
//   y.to_vector<float>();                             // now it has
#pragma once

#include <cstdint>

#include "linnet/back_end.h"

namespace linnet::testing {

/// A device of the fake back end, which is registered at first use. `index` is 0 or 1.
Device fake_device(int index = 0);

struct FakeDeviceCounts {
  size_t waiting = 0;   ///< pieces of work that are queued
  size_t launches = 0;  ///< of functions, since the start of the process
  size_t libraries = 0, copies = 0, fills = 0;
  size_t program_runs = 0;
};
FakeDeviceCounts fake_device_counts(int index = 0);

/// Whether the host can read the byte at an address.
bool readable(const void* address);

/// Gives the launches of one kernel to the device, as a kernel of eager mode does.
void emit_on_fake_device(int index, const DeviceKernel& kernel, std::span<const Address> inputs,
                         std::span<const Address> outputs);

}  // namespace linnet::testing
