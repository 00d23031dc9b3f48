#include "linnet/layers/activation.h"

namespace linnet::layers {

Tensor hard_swish(const Tensor& x) { return hard_silu(x); }

}  // namespace linnet::layers
