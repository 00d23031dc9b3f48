#include "modules/layers/dropout.h"

#include "linnet/detail/format.h"

namespace linnet::layers {

Tensor dropout(const Tensor& x, double rate, const Axes& broadcast_dims, bool deterministic,
               const std::function<Key()>& key) {
  if (!(rate >= 0 && rate <= 1))
    fail<ValueError>("dropout: the rate must be from 0 to 1, got {}", rate);
  if (deterministic || rate == 0) return x;
  if (rate == 1) return zeros_like(x);
  return linnet::dropout(x, key().data(), rate, broadcast_dims);
}

}  // namespace linnet::layers
