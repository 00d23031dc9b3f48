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

bool given_once(const char* layer, const char* name, std::optional<bool> of_layer,
                std::optional<bool> of_call) {
  if (of_layer.has_value() == of_call.has_value()) {
    fail<ValueError>("{}: '{}' must be given once, to the layer or to the call; it was given {}",
                     layer, name, of_layer ? "to both" : "to neither");
  }
  return of_layer ? *of_layer : *of_call;
}

}  // namespace linnet::layers
