// Batch normalisation; part of the family of normalisations (families.h).
#pragma once

#include "linnet/kernel.h"

namespace linnet::cuda {

void register_batch_norm(KernelTable& table);

}  // namespace linnet::cuda
