#include "linnet/linen/layers_conv.h"

#include "core/base/format.h"
#include "modules/layers/convolution.h"

namespace linnet::linen {

Tensor Conv::operator()(Scope& s, const Tensor& x) const {
  if (x.rank() == 0)
    fail<ShapeError>("Conv: expected x [batch..., spatial..., in], got {}", to_string(x.type()));
  const Shape shape =
      layers::conv_kernel_shape(kernel.values(), x.shape().back(), features, feature_group_count);
  const Tensor weights =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()), shape, param_dtype);
  Tensor bias;
  if (use_bias) bias = param(s, "bias", bias_init.value_or(init::zeros()), {features}, param_dtype);
  return layers::conv(x, weights, bias, mask,
                      {.strides = strides,
                       .padding = padding,
                       .input_dilation = input_dilation,
                       .kernel_dilation = kernel_dilation,
                       .feature_groups = feature_group_count,
                       .dtype = dtype});
}

Tensor ConvTranspose::operator()(Scope& s, const Tensor& x) const {
  if (x.rank() == 0) {
    fail<ShapeError>("ConvTranspose: expected x [batch..., spatial..., in], got {}",
                     to_string(x.type()));
  }
  const int64_t in = x.shape().back();
  const Shape shape = layers::conv_kernel_shape(kernel.values(), transpose_kernel ? features : in,
                                                transpose_kernel ? in : features, 1);
  const Tensor weights =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()), shape, param_dtype);
  Tensor bias;
  if (use_bias) {
    bias = param(s, "bias", bias_init.value_or(init::zeros()), {features}, param_dtype);
  }
  return layers::conv_transpose(x, weights, bias, mask,
                                {.strides = strides,
                                 .padding = padding,
                                 .kernel_dilation = kernel_dilation,
                                 .transpose_kernel = transpose_kernel,
                                 .dtype = dtype});
}

}  // namespace linnet::linen
