// Object linear layers: Linear, LinearGeneral, Einsum, Embed. Their options are described in
// layers/config_linear.h.
//
//   nnx::Rngs rngs(0);
//   nnx::Linear up(784, 256, rngs), head(256, 10, {.use_bias = false}, rngs);
//   Tensor h = up(x);                                // f32[..., 784] -> f32[..., 256]
//   Shape s = up.kernel.shape();                     // [784,256]
//
// Sizes are explicit and variables exist from construction on. Keys come from `rngs.params()`, the
// kernel's first.
#pragma once

#include <optional>
#include <string>

#include "linnet/layers/config_linear.h"
#include "linnet/nnx/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using LinearOptions = layers::Dense<Api>;
using LinearGeneralOptions = layers::DenseGeneral<Api>;
using EinsumOptions = layers::Einsum<Api>;
using EmbedOptions = layers::Embed<Api>;

/// x [..., in] -> x · kernel + bias [..., out]; kernel [in, out], bias [out] (N-117).
class Linear : public LinearOptions {
 public:
  using Options = LinearOptions;
  Linear(int64_t in_features, int64_t out_features, RngsRef rngs)
      : Linear(in_features, out_features, {}, rngs) {}
  Linear(int64_t in_features, int64_t out_features, const Options& options, RngsRef rngs);

  /// @throws ShapeError if the last dimension of x is not in_features.
  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  int64_t in_features, out_features;

  LINNET_FIELDS_AND_BASE(Options, kernel, bias, in_features, out_features)
};

/// Contracts `axis` of x into out_features: kernel [batch..., in..., out...], bias [batch...,
/// out...] (N-118). in_features are the sizes along `axis` in ascending order of axes.
class LinearGeneral : public LinearGeneralOptions {
 public:
  using Options = LinearGeneralOptions;
  LinearGeneral(const Shape& in_features, const Shape& out_features, RngsRef rngs)
      : LinearGeneral(in_features, out_features, {}, rngs) {}
  /// @throws ValueError unless there is one axis for each of in_features.
  LinearGeneral(const Shape& in_features, const Shape& out_features, const Options& options,
                RngsRef rngs);

  /// @throws ShapeError if x does not have the sizes given.
  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  Shape in_features, out_features;

  LINNET_FIELDS_AND_BASE(Options, kernel, bias, in_features, out_features)
};

/// einsum(equation, x, kernel) + bias (N-119). The bias has the sizes of those of the kernel's
/// letters that are in the output; none without `bias_shape`.
class Einsum : public EinsumOptions {
 public:
  using Options = EinsumOptions;
  Einsum(std::string equation, const Shape& kernel_shape, const std::optional<Shape>& bias_shape,
         RngsRef rngs)
      : Einsum(std::move(equation), kernel_shape, bias_shape, {}, rngs) {}
  Einsum(std::string equation, const Shape& kernel_shape, const std::optional<Shape>& bias_shape,
         const Options& options, RngsRef rngs);

  /// @throws ValueError if the equation has not two operands and an explicit output.
  Tensor operator()(const Tensor& x) const;
  /// With another equation.
  Tensor operator()(const Tensor& x, const std::string& equation) const;

  Param kernel;
  std::optional<Param> bias;
  std::string equation;
  Shape kernel_shape;

  LINNET_FIELDS_AND_BASE(Options, kernel, bias, equation, kernel_shape)
};

/// Rows of a table: integers [...] -> [..., features]; embedding [num_embeddings, features], normal
/// with variance 1 / features (N-122).
class Embed : public EmbedOptions {
 public:
  using Options = EmbedOptions;
  Embed(int64_t num_embeddings, int64_t features, RngsRef rngs)
      : Embed(num_embeddings, features, {}, rngs) {}
  Embed(int64_t num_embeddings, int64_t features, const Options& options, RngsRef rngs);

  /// @throws DTypeError unless the indices are integers.
  Tensor operator()(const Tensor& indices) const;
  /// query [..., features] · embeddingᵀ -> [..., num_embeddings], for tied weights.
  Tensor attend(const Tensor& query) const;

  Param embedding;
  int64_t num_embeddings, features;

  LINNET_FIELDS_AND_BASE(Options, embedding, num_embeddings, features)
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
