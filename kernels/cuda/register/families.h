// Adds the implementations of each family to the table of the CUDA back end, best first; `host`
// comes last (register.cpp).
#pragma once

#include "linnet/kernel.h"

namespace linnet::cuda {

void register_elementwise(KernelTable& table);  // elementwise, casts, copies, counting
void register_clusters(KernelTable& table);     // fused_elementwise
void register_shape(KernelTable& table);        // concatenate, pad, slices
void register_reduce(KernelTable& table);       // reductions, arguments of extrema
void register_scan(KernelTable& table);         // cumulative operations
void register_sort(KernelTable& table);
void register_index(KernelTable& table);  // gather, scatter
void register_softmax(KernelTable& table);
void register_loss(KernelTable& table);
void register_norm(KernelTable& table);
void register_pool(KernelTable& table);
void register_random(KernelTable& table);
void register_optim(KernelTable& table);
void register_matmul(KernelTable& table);  // cuBLASLt
void register_cudnn(KernelTable& table);   // convolution, attention
/// The CPU's kernels on downloaded operands, for whatever has no implementation of its own.
void register_host(KernelTable& table);

}  // namespace linnet::cuda
