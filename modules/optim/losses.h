// What losses share.
#pragma once

#include "linnet/losses.h"

namespace linnet::loss {

/// Integers and bools are numbers here: in their own types differences would wrap.
Tensor as_floating(const Tensor& x);
/// Integer and bool targets take the dtype of the predictions.
Tensor target_for(const Tensor& predictions, const Tensor& targets);

}  // namespace linnet::loss
