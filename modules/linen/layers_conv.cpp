#include "linnet/linen/layers_conv.h"

#include "linnet/detail/format.h"
#include "modules/layers/convolution.h"

namespace linnet::layers {

template <class Api>
Tensor Conv<Api>::operator()(typename Api::Scope& s, const Tensor& x) const
  requires(Api::kFunctional)
{
  if (x.rank() == 0)
    fail<ShapeError>("Conv: expected x [batch..., spatial..., in], got {}", to_string(x.type()));
  const Shape shape =
      conv_kernel_shape(kernel.values(), x.shape().back(), features, feature_group_count);
  const Tensor weights =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()), shape, param_dtype);
  Tensor bias;
  if (use_bias) bias = param(s, "bias", bias_init.value_or(init::zeros()), {features}, param_dtype);
  return conv(x, weights, bias, mask.value_or(Tensor()), conv_settings(*this));
}

template <class Api>
Tensor ConvTranspose<Api>::operator()(typename Api::Scope& s, const Tensor& x) const
  requires(Api::kFunctional)
{
  if (x.rank() == 0) {
    fail<ShapeError>("ConvTranspose: expected x [batch..., spatial..., in], got {}",
                     to_string(x.type()));
  }
  const int64_t in = x.shape().back();
  const Shape shape = conv_kernel_shape(kernel.values(), transpose_kernel ? features : in,
                                        transpose_kernel ? in : features, 1);
  const Tensor weights =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()), shape, param_dtype);
  Tensor bias;
  if (use_bias) {
    bias = param(s, "bias", bias_init.value_or(init::zeros()), {features}, param_dtype);
  }
  return conv_transpose(x, weights, bias, mask.value_or(Tensor()), conv_transpose_settings(*this));
}

template struct Conv<linen::Api>;
template struct ConvTranspose<linen::Api>;

}  // namespace linnet::layers
