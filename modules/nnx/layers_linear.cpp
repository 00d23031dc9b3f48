#include "linnet/nnx/layers_linear.h"

#include "core/base/format.h"
#include "modules/layers/linear.h"

namespace linnet::nnx {
namespace {

Shape joined(const Shape& a, const Shape& b, const Shape& c = {}) {
  Shape out = a;
  out.append(b.begin(), b.end());
  out.append(c.begin(), c.end());
  return out;
}

Tensor value_of(const std::optional<Param>& variable) {
  return variable ? variable->value() : Tensor();
}

template <class Options>
Param make_kernel(Rngs& rngs, const Options& options, const Shape& shape,
                  const std::optional<Shape>& drawn = {}) {
  return make_param(rngs, options.kernel_init, init::lecun_normal(), shape, options.param_dtype,
                    options.kernel_metadata, drawn);
}

template <class Options>
std::optional<Param> make_bias(Rngs& rngs, const Options& options, const Shape& shape) {
  if (!options.use_bias) return std::nullopt;
  return make_param(rngs, options.bias_init, init::zeros(), shape, options.param_dtype,
                    options.bias_metadata, Shape{element_count(shape)});
}

Axes batch_axes(size_t count) {
  Axes out;
  for (size_t i = 0; i < count; ++i) out.push_back(static_cast<int64_t>(i));
  return out;
}

}  // namespace

Linear::Linear(int64_t in_features, int64_t out_features, Rngs& rngs)
    : Linear(in_features, out_features, Options{}, rngs) {}

Linear::Linear(int64_t in_features, int64_t out_features, const Options& options, Rngs& rngs)
    : kernel(make_kernel(rngs, options, {in_features, out_features})),
      bias(make_bias(rngs, options, {out_features})),
      dtype(options.dtype) {}

Tensor Linear::operator()(const Tensor& x) const {
  return layers::dense(x, kernel.value(), value_of(bias), dtype);
}

LinearGeneral::LinearGeneral(const Shape& in_features, const Shape& out_features, Rngs& rngs)
    : LinearGeneral(in_features, out_features, Options{}, rngs) {}

LinearGeneral::LinearGeneral(const Shape& in_features, const Shape& out_features,
                             const Options& options, Rngs& rngs)
    : kernel(make_kernel(rngs, options, joined(options.batch_sizes, in_features, out_features),
                         Shape{element_count(options.batch_sizes) * element_count(in_features),
                               element_count(out_features)})),
      bias(make_bias(rngs, options, joined(options.batch_sizes, out_features))),
      in_features(in_features),
      batch_sizes(options.batch_sizes),
      axis(options.axis),
      dtype(options.dtype) {
  if (axis.size() != in_features.size()) {
    fail<ValueError>("LinearGeneral: expected one axis for each of the input sizes {}, got {}",
                     to_string(in_features), to_string(axis));
  }
}

Tensor LinearGeneral::operator()(const Tensor& x) const {
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
               const std::optional<Shape>& bias_shape, Rngs& rngs)
    : Einsum(std::move(equation), kernel_shape, bias_shape, Options{}, rngs) {}

Einsum::Einsum(std::string equation, const Shape& kernel_shape,
               const std::optional<Shape>& bias_shape, const Options& options, Rngs& rngs)
    : kernel(make_kernel(rngs, options, kernel_shape)),
      equation(layers::checked_einsum(equation)),
      dtype(options.dtype) {
  if (bias_shape && options.use_bias) {
    bias.emplace(make_param(rngs, options.bias_init, init::zeros(), *bias_shape,
                            options.param_dtype, options.bias_metadata));
  }
}

Tensor Einsum::operator()(const Tensor& x) const {
  return layers::einsum_layer(equation, x, kernel.value(), value_of(bias), dtype);
}

Tensor Einsum::operator()(const Tensor& x, const std::string& other) const {
  return layers::einsum_layer(layers::checked_einsum(other), x, kernel.value(), value_of(bias),
                              dtype);
}

Embed::Embed(int64_t num_embeddings, int64_t features, Rngs& rngs)
    : Embed(num_embeddings, features, Options{}, rngs) {}

Embed::Embed(int64_t num_embeddings, int64_t features, const Options& options, Rngs& rngs)
    // The fan is the feature axis: both axes of the rule are the first.
    : embedding(
          make_param(rngs, options.embedding_init,
                     init::variance_scaling(1, init::FanMode::kFanIn, init::Distribution::kNormal,
                                            {.in = {-2}, .out = {0}}),
                     {num_embeddings, features}, options.param_dtype, options.embedding_metadata)),
      dtype(options.dtype) {}

Tensor Embed::operator()(const Tensor& indices) const {
  return layers::embed(indices, embedding.value(), dtype);
}

Tensor Embed::attend(const Tensor& query) const {
  return layers::attend(query, embedding.value(), dtype);
}

}  // namespace linnet::nnx
