// How much memory of a device the tensors of this process may have.
//
//   set_memory_limit(kCpu, size_t{4} << 30);
//   train();                     // beyond 4 GiB: DeviceError with sizes, limit and largest owners
//   set_memory_limit(kCpu, 0);   // no limit
#pragma once

#include <cstddef>

#include "linnet/device.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Bounds the memory of `device` that tensors, results and scratch space of operations take
/// together, with the blocks that its allocator keeps for later: those are given back to
/// the system before the limit is passed. A request beyond it throws DeviceError naming its size,
/// what is live, the limit, and the largest owners, and changes nothing: a step that fails
/// this way leaves its state as it was. 0, as at first, means no limit; what is live already stays.
/// @throws DeviceError if there is no such device.
void set_memory_limit(Device device, size_t bytes);
size_t memory_limit(Device device = default_device());

}  // namespace linnet

#pragma GCC visibility pop
