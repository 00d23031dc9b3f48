// Generated kernels as functions of the device: compiled once for each text, kept in memory and on
// disk.
#pragma once

#include <string>

#include "kernels/cuda/jit/generator.h"
#include "kernels/cuda/launch/function.h"

namespace linnet::cuda {

/// Null, and the reason, if there is no compiler. The function lives for ever.
/// @throws DeviceError if the text does not compile or the driver does not load it.
const Function* compiled_cluster(const ClusterSource& source, std::string& reason);

}  // namespace linnet::cuda
