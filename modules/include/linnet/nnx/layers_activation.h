// Object activations with parameters. Their settings are described in layers/config_activation.h.
//
//   nnx::PReLU act;                              // a slope for negative values that is learned
//   Tensor y = act(x);
#pragma once

#include "linnet/layers/activation.h"
#include "linnet/layers/config_activation.h"
#include "linnet/nnx/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using PReLUOptions = layers::PReLU<Api>;

/// x where it is not negative, else negative_slope x, with the slope in the dtype of x (N-130).
class PReLU : public PReLUOptions {
 public:
  using Options = PReLUOptions;
  PReLU() : PReLU(Options()) {}
  explicit PReLU(const Options& options);

  Tensor operator()(const Tensor& x) const;

  Param negative_slope;

  LINNET_FIELDS_AND_BASE(Options, negative_slope)
};

/// x itself, in place of an activation.
inline Tensor identity(const Tensor& x) { return x; }

}  // namespace linnet::nnx

#pragma GCC visibility pop
