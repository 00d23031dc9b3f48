// Kernels of the device from a function that describes their launches.
//
//   return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address workspace) {
//     sink.launch(scale, {blocks}, ScaleArgs{global<const float>(in[0]), global<float>(out[0]), 2,
//     n});
//   });
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "linnet/back_end.h"

namespace linnet::cuda {

using Operands = std::span<const Address>;
using Emit = std::function<void(LaunchSink&, Operands in, Operands out, Address workspace)>;

/// `emit` is called again and again, by several threads too.
std::unique_ptr<Kernel> make_device_kernel(Emit emit, size_t workspace_bytes = 0);

/// The blocks that `count` elements need, `per_block` of them each.
/// @throws ValueError beyond the limits of a launch.
uint32_t blocks_for(int64_t count, int64_t per_block);

}  // namespace linnet::cuda
