// Private: the convolution primitives through the reference convolution, for what nobody else
// takes.
#pragma once

#include "linnet/kernel.h"

namespace linnet::cpu {

KernelImplementation reference_conv();
KernelImplementation reference_conv_backward_data();
KernelImplementation reference_conv_backward_weights();

}  // namespace linnet::cpu
