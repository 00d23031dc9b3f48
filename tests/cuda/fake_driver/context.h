// Devices, and the context that is current on a thread.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

namespace linnet::fake_cuda {

struct Context {
  int device = 0;
  unsigned retained = 0;
  uint32_t peers = 0;  ///< devices whose memory kernels may touch, as bits
};

int device_count();
size_t device_memory();
/// 90 for 9.0.
int capability();

/// Number of a device.
/// @throws Failure if there is none.
int checked_device(CUdevice device);
/// The one context that each device has.
Context& primary_context(int device);
/// Null for none.
Context* current_context();
Context& checked_context(CUcontext context);
CUcontext handle_of(Context* context);

}  // namespace linnet::fake_cuda
