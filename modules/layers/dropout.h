// The mathematics of dropout (docs/rng.md section 6).
#pragma once

#include <functional>

#include "linnet/random.h"

namespace linnet::layers {

/// x with elements zeroed at `rate` and the rest divided by 1 - rate. The key is asked for only if
/// numbers are drawn: not if deterministic, and not for the rates 0 (x itself) and 1 (zeros).
/// @throws ValueError for rates outside 0 to 1.
Tensor dropout(const Tensor& x, double rate, const Axes& broadcast_dims, bool deterministic,
               const std::function<Key()>& key);

}  // namespace linnet::layers
