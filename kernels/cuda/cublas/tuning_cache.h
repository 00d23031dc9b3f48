// Choices of algorithms, kept for later products and later processes.
#pragma once

#include <cublasLt.h>

#include <optional>
#include <string>

#include "kernels/cuda/runtime/gpu.h"

namespace linnet::cuda {

/// What was found fastest for the product that `text` describes, on devices of this kind, with this
/// version of the library: in this process, or in a file. A file that cannot be read is ignored
/// with a warning.
std::optional<cublasLtMatmulAlgo_t> find_tuned(const DeviceProperties& device,
                                               const std::string& text);
/// Keeps it. A file that cannot be written is a warning.
void keep_tuned(const DeviceProperties& device, const std::string& text,
                const cublasLtMatmulAlgo_t& algorithm);
/// Forgets what this process knows, as if it had just begun.
void forget_tuned();

/// The file for a product; empty if nothing is kept on disk.
std::string tuning_file(const DeviceProperties& device, const std::string& text);

}  // namespace linnet::cuda
