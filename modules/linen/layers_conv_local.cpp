#include "linnet/linen/layers_conv_local.h"

#include "linnet/detail/format.h"
#include "modules/layers/convolution.h"
#include "modules/layers/linear.h"

namespace linnet::linen {

Tensor ConvLocal::operator()(Scope& s, const Tensor& x) const {
  const Shape window = kernel.values();
  if (x.rank() < window.size() + 1) {
    fail<ShapeError>("ConvLocal: expected x [batch..., {} spatial dimensions, features], got {}",
                     window.size(), to_string(x.type()));
  }
  const Tensor patches = layers::conv_patches(x, window,
                                              {.strides = strides,
                                               .padding = padding,
                                               .input_dilation = input_dilation,
                                               .kernel_dilation = kernel_dilation,
                                               .dtype = dtype});
  const auto spatial = static_cast<int64_t>(window.size());
  const Shape positions(patches.shape().end() - 1 - spatial, patches.shape().end() - 1);
  Tensor weights = param(s, "kernel", kernel_init.value_or(init::lecun_normal()),
                         layers::joined(positions, {patches.shape(-1), features}), param_dtype);
  if (mask && mask->shape() != weights.shape()) {
    fail<ValueError>("ConvLocal: expected a mask of the kernel's shape {}, got {}",
                     to_string(weights.shape()), to_string(mask->type()));
  }
  if (mask) weights = weights * astype(*mask, weights.dtype());
  Tensor bias;
  if (use_bias) {
    bias = param(s, "bias", bias_init.value_or(init::zeros()),
                 layers::joined(positions, {features}), param_dtype);
  }
  return layers::conv_local(patches, weights, bias, dtype);
}

}  // namespace linnet::linen
