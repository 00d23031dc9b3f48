// Private: the convolution primitives through the reference convolution, for what nobody else
// takes.
#pragma once

#include "linnet/kernel.h"

namespace linnet::cpu {

void run_reference_conv(const KernelRequest& request, const void* const* in, void* const* out,
                        void*);
void run_reference_conv_backward_data(const KernelRequest& request, const void* const* in,
                                      void* const* out, void*);
void run_reference_conv_backward_weights(const KernelRequest& request, const void* const* in,
                                         void* const* out, void*);

}  // namespace linnet::cpu
