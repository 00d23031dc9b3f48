// Fills the table of the CUDA back end.
#pragma once

#include "linnet/kernel.h"

namespace linnet::cuda {

/// Needs no driver: what a table holds can be shown everywhere.
void register_kernels(KernelTable& table);

}  // namespace linnet::cuda
