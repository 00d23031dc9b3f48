// One registration function per family of kernels.
#pragma once

#include "linnet/kernel.h"

namespace linnet {

/// All of them.
void register_cpu_kernels(KernelTable& table);

void register_elementwise(KernelTable& table);
void register_fused_elementwise(KernelTable& table);
void register_shape(KernelTable& table);
void register_indexing(KernelTable& table);
void register_reduce(KernelTable& table);
void register_nn(KernelTable& table);
void register_dot(KernelTable& table);
void register_attention(KernelTable& table);
void register_conv(KernelTable& table);
void register_window(KernelTable& table);
void register_random(KernelTable& table);
void register_optim(KernelTable& table);
void register_complex(KernelTable& table);

}  // namespace linnet
