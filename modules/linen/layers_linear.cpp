#include "linnet/linen/layers_linear.h"

#include "core/base/format.h"
#include "modules/layers/linear.h"

namespace linnet::linen {
namespace {

Shape joined(const Shape& a, const Shape& b, const Shape& c = {}) {
  Shape out = a;
  out.append(b.begin(), b.end());
  out.append(c.begin(), c.end());
  return out;
}

Tensor embedding_of(Scope& s, const Embed& layer) {
  // The fan is the feature axis: both axes of the rule are the first.
  static const Initializer initializer = init::variance_scaling(
      1, init::FanMode::kFanIn, init::Distribution::kNormal, {.in = {-2}, .out = {0}});
  return param(s, "embedding", layer.embedding_init.value_or(initializer),
               {layer.num_embeddings, layer.features}, layer.param_dtype);
}

}  // namespace

Tensor Dense::operator()(Scope& s, const Tensor& x) const {
  if (x.rank() == 0)
    fail<ShapeError>("Dense: expected x [..., features], got {}", to_string(x.type()));
  const Tensor kernel = param(s, "kernel", kernel_init.value_or(init::lecun_normal()),
                              {x.shape().back(), features}, param_dtype);
  Tensor bias;
  if (use_bias) bias = param(s, "bias", bias_init.value_or(init::zeros()), {features}, param_dtype);
  return layers::dense(x, kernel, bias, dtype);
}

Tensor DenseGeneral::operator()(Scope& s, const Tensor& x) const {
  const layers::GeneralAxes axes =
      layers::general_axes(x.shape(), axis, batch_dims, "DenseGeneral");
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
  return layers::dense_general(x, kernel, bias, axes, dtype);
}

Tensor Einsum::operator()(Scope& s, const Tensor& x, const std::string& equation_of_call) const {
  if (equation.empty() == equation_of_call.empty()) {
    fail<ValueError>("Einsum: the equation must be given once, to the layer or to the call");
  }
  const std::string text = layers::checked_einsum(equation.empty() ? equation_of_call : equation);
  const Tensor kernel =
      param(s, "kernel", kernel_init.value_or(init::lecun_normal()), shape, param_dtype);
  Tensor bias;
  if (use_bias) {
    bias = param(s, "bias", bias_init.value_or(init::zeros()),
                 layers::einsum_bias(text, shape, text.size() - text.find("->") - 2).shape,
                 param_dtype);
  }
  return layers::einsum_layer(text, x, kernel, bias, dtype);
}

Tensor Embed::operator()(Scope& s, const Tensor& indices) const {
  return layers::embed(indices, embedding_of(s, *this), dtype);
}

Tensor Embed::attend(Scope& s, const Tensor& query) const {
  return layers::attend(query, embedding_of(s, *this), dtype);
}

}  // namespace linnet::linen
