#include "linnet/nnx/layers_conv.h"

#include "modules/layers/convolution.h"
#include "modules/nnx/layer_parameters.h"

namespace linnet::nnx {
namespace {

/// An undefined mask is none: it would be a leaf without a value.
template <class Options>
void drop_what_served(Options& options) {
  drop_initialisers(options);
  if (options.mask && !options.mask->defined()) options.mask.reset();
}

}  // namespace

Conv::Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
           const Options& options, RngsRef rngs)
    : Options(options),
      kernel(make_kernel(rngs, options,
                         layers::conv_kernel_shape(kernel_size.values(), in_features, out_features,
                                                   options.feature_group_count))),
      bias(make_bias(rngs, options, {out_features})),
      in_features(in_features),
      out_features(out_features),
      kernel_size(kernel_size) {
  drop_what_served<Options>(*this);
}

Tensor Conv::operator()(const Tensor& x) const {
  const LayerPath path(kernel);
  return layers::conv(x, kernel.value(), value_of(bias), mask.value_or(Tensor()),
                      layers::conv_settings(*this));
}

ConvTranspose::ConvTranspose(int64_t in_features, int64_t out_features,
                             const PerDimension& kernel_size, const Options& options, RngsRef rngs)
    : Options(options),
      kernel(make_kernel(
          rngs, options,
          layers::conv_kernel_shape(kernel_size.values(),
                                    options.transpose_kernel ? out_features : in_features,
                                    options.transpose_kernel ? in_features : out_features, 1))),
      bias(make_bias(rngs, options, {out_features})),
      in_features(in_features),
      out_features(out_features),
      kernel_size(kernel_size) {
  drop_what_served<Options>(*this);
}

Tensor ConvTranspose::operator()(const Tensor& x) const {
  const LayerPath path(kernel);
  return layers::conv_transpose(x, kernel.value(), value_of(bias), mask.value_or(Tensor()),
                                layers::conv_transpose_settings(*this));
}

}  // namespace linnet::nnx
