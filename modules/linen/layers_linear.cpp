#include "linnet/linen/layers_linear.h"

#include "linnet/detail/format.h"
#include "modules/layers/linear.h"

namespace linnet::layers {
namespace {

Tensor embedding_of(linen::Scope& s, const linen::Embed& layer) {
  return param(s, "embedding", layer.embedding_init.value_or(embedding_initializer()),
               {layer.num_embeddings, layer.features}, layer.param_dtype);
}

}  // namespace

template <class Api>
Tensor Dense<Api>::operator()(typename Api::Scope& s, const Tensor& x) const
  requires(Api::kFunctional)
{
  if (x.rank() == 0)
    fail<ShapeError>("Dense: expected x [..., features], got {}", to_string(x.type()));
  const Tensor kernel = param(s, "kernel", kernel_init.value_or(init::lecun_normal()),
                              {x.shape().back(), features}, param_dtype);
  Tensor bias;
  if (use_bias) bias = param(s, "bias", bias_init.value_or(init::zeros()), {features}, param_dtype);
  return dense(x, kernel, bias, dtype);
}

template <class Api>
Tensor DenseGeneral<Api>::operator()(typename Api::Scope& s, const Tensor& x) const
  requires(Api::kFunctional)
{
  const GeneralAxes axes = general_axes(x.shape(), axis, batch_dims, "DenseGeneral");
  const int64_t batch = element_count(axes.batch_sizes), in = element_count(axes.in_sizes);
  const int64_t out = element_count(features);
  const Tensor kernel =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()).drawn_as({batch * in, out}),
            joined(axes.batch_sizes, axes.in_sizes, features), param_dtype);
  Tensor bias;
  if (use_bias) {
    bias = param(s, "bias", bias_init.value_or(init::zeros()).drawn_as({batch * out}),
                 joined(axes.batch_sizes, features), param_dtype);
  }
  return dense_general(x, kernel, bias, axes, dtype);
}

template <class Api>
Tensor Einsum<Api>::operator()(typename Api::Scope& s, const Tensor& x,
                               const std::string& equation_of_call) const
  requires(Api::kFunctional)
{
  if (equation.empty() == equation_of_call.empty()) {
    fail<ValueError>("Einsum: the equation must be given once, to the layer or to the call");
  }
  const std::string text = checked_einsum(equation.empty() ? equation_of_call : equation);
  const Tensor kernel =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()), shape, param_dtype);
  Tensor bias;
  if (use_bias) {
    bias = param(s, "bias", bias_init.value_or(init::zeros()),
                 einsum_bias(text, shape, text.size() - text.find("->") - 2).shape, param_dtype);
  }
  return einsum_layer(text, x, kernel, bias, dtype);
}

template <class Api>
Tensor Embed<Api>::operator()(typename Api::Scope& s, const Tensor& indices) const
  requires(Api::kFunctional)
{
  return embed(indices, embedding_of(s, *this), dtype);
}

template <class Api>
Tensor Embed<Api>::attend(typename Api::Scope& s, const Tensor& query) const
  requires(Api::kFunctional)
{
  return layers::attend(query, embedding_of(s, *this), dtype);
}

template struct Dense<linen::Api>;
template struct DenseGeneral<linen::Api>;
template struct Einsum<linen::Api>;
template struct Embed<linen::Api>;

}  // namespace linnet::layers
