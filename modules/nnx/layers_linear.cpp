#include "linnet/nnx/layers_linear.h"

#include "linnet/detail/format.h"
#include "modules/layers/linear.h"
#include "modules/nnx/layer_parameters.h"

namespace linnet::nnx {
namespace {

Axes batch_axes(size_t count) {
  Axes out;
  for (size_t i = 0; i < count; ++i) out.push_back(static_cast<int64_t>(i));
  return out;
}

}  // namespace

Linear::Linear(int64_t in_features, int64_t out_features, const Options& options, RngsRef rngs)
    : Options(options),
      kernel(make_kernel(rngs, options, {in_features, out_features})),
      bias(make_bias(rngs, options, {out_features})),
      in_features(in_features),
      out_features(out_features) {
  drop_initialisers<Options>(*this);
}

Tensor Linear::operator()(const Tensor& x) const {
  const LayerPath path(kernel);
  return layers::dense(x, kernel.value(), value_of(bias), dtype);
}

LinearGeneral::LinearGeneral(const Shape& in_features, const Shape& out_features,
                             const Options& options, RngsRef rngs)
    : Options(options),
      kernel(make_kernel(rngs, options,
                         layers::joined(options.batch_sizes, in_features, out_features),
                         Shape{element_count(options.batch_sizes) * element_count(in_features),
                               element_count(out_features)})),
      bias(make_bias(rngs, options, layers::joined(options.batch_sizes, out_features),
                     Shape{element_count(options.batch_sizes) * element_count(out_features)})),
      in_features(in_features),
      out_features(out_features) {
  if (axis.size() != in_features.size()) {
    fail<ValueError>("LinearGeneral: expected one axis for each of the input sizes {}, got {}",
                     to_string(in_features), to_string(axis));
  }
  drop_initialisers<Options>(*this);
}

Tensor LinearGeneral::operator()(const Tensor& x) const {
  const LayerPath path(kernel);
  const layers::GeneralAxes axes =
      layers::general_axes(x.shape(), axis, batch_axes(batch_sizes.size()), "LinearGeneral");
  if (axes.in_sizes != in_features || axes.batch_sizes != batch_sizes) {
    fail<ShapeError>("LinearGeneral: expected sizes {} along axes {} and batch sizes {}, got {}",
                     to_string(in_features), to_string(axis), to_string(batch_sizes),
                     to_string(x.type()));
  }
  return layers::dense_general(x, kernel.value(), value_of(bias), axes, dtype);
}

Einsum::Einsum(std::string equation, const Shape& kernel_shape,
               const std::optional<Shape>& bias_shape, const Options& options, RngsRef rngs)
    : Options(options),
      kernel(make_kernel(rngs, options, kernel_shape)),
      equation(layers::checked_einsum(equation)),
      kernel_shape(kernel_shape) {
  if (bias_shape) bias = make_bias(rngs, options, *bias_shape);
  drop_initialisers<Options>(*this);
}

Tensor Einsum::operator()(const Tensor& x) const {
  const LayerPath path(kernel);
  return layers::einsum_layer(equation, x, kernel.value(), value_of(bias), dtype);
}

Tensor Einsum::operator()(const Tensor& x, const std::string& other) const {
  const LayerPath path(kernel);
  return layers::einsum_layer(layers::checked_einsum(other), x, kernel.value(), value_of(bias),
                              dtype);
}

Embed::Embed(int64_t num_embeddings, int64_t features, const Options& options, RngsRef rngs)
    : Options(options),
      embedding(make_param(rngs, options.embedding_init, layers::embedding_initializer(),
                           {num_embeddings, features}, options.param_dtype,
                           options.embedding_metadata)),
      num_embeddings(num_embeddings),
      features(features) {
  drop_initialisers<Options>(*this);
}

Tensor Embed::operator()(const Tensor& indices) const {
  const LayerPath path(embedding);
  return layers::embed(indices, embedding.value(), dtype);
}

Tensor Embed::attend(const Tensor& query) const {
  const LayerPath path(embedding);
  return layers::attend(query, embedding.value(), dtype);
}

}  // namespace linnet::nnx
