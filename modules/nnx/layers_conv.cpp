#include "linnet/nnx/layers_conv.h"

#include "modules/layers/convolution.h"

namespace linnet::nnx {

Conv::Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size, Rngs& rngs)
    : Conv(in_features, out_features, kernel_size, Options{}, rngs) {}

Conv::Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
           const Options& options, Rngs& rngs)
    : kernel(make_param(rngs, options.kernel_init, init::lecun_normal(),
                        layers::conv_kernel_shape(kernel_size.values(), in_features, out_features,
                                                  options.feature_group_count),
                        options.param_dtype, options.kernel_metadata)),
      strides(options.strides),
      padding(options.padding),
      input_dilation(options.input_dilation),
      kernel_dilation(options.kernel_dilation),
      feature_group_count(options.feature_group_count),
      dtype(options.dtype) {
  if (options.use_bias) {
    bias.emplace(make_param(rngs, options.bias_init, init::zeros(), {out_features},
                            options.param_dtype, options.bias_metadata));
  }
  if (options.mask.defined()) mask = options.mask;
}

Tensor Conv::operator()(const Tensor& x) const {
  return layers::conv(x, kernel.value(), bias ? bias->value() : Tensor(), mask.value_or(Tensor()),
                      {.strides = strides,
                       .padding = padding,
                       .input_dilation = input_dilation,
                       .kernel_dilation = kernel_dilation,
                       .feature_groups = feature_group_count,
                       .dtype = dtype});
}

ConvTranspose::ConvTranspose(int64_t in_features, int64_t out_features,
                             const PerDimension& kernel_size, Rngs& rngs)
    : ConvTranspose(in_features, out_features, kernel_size, Options{}, rngs) {}

ConvTranspose::ConvTranspose(int64_t in_features, int64_t out_features,
                             const PerDimension& kernel_size, const Options& options, Rngs& rngs)
    : kernel(make_param(
          rngs, options.kernel_init, init::lecun_normal(),
          layers::conv_kernel_shape(kernel_size.values(),
                                    options.transpose_kernel ? out_features : in_features,
                                    options.transpose_kernel ? in_features : out_features, 1),
          options.param_dtype, options.kernel_metadata)),
      strides(options.strides),
      padding(options.padding),
      kernel_dilation(options.kernel_dilation),
      dtype(options.dtype),
      transpose_kernel(options.transpose_kernel) {
  if (options.use_bias) {
    bias.emplace(make_param(rngs, options.bias_init, init::zeros(), {out_features},
                            options.param_dtype, options.bias_metadata));
  }
  if (options.mask.defined()) mask = options.mask;
}

Tensor ConvTranspose::operator()(const Tensor& x) const {
  return layers::conv_transpose(x, kernel.value(), bias ? bias->value() : Tensor(),
                                mask.value_or(Tensor()),
                                {.strides = strides,
                                 .padding = padding,
                                 .kernel_dilation = kernel_dilation,
                                 .transpose_kernel = transpose_kernel,
                                 .dtype = dtype});
}

}  // namespace linnet::nnx
