// Object linear layers: Linear, LinearGeneral, Einsum, Embed.
//
//   nnx::Rngs rngs(0);
//   nnx::Linear up(784, 256, rngs), head(256, 10, {.use_bias = false}, rngs);
//   Tensor h = up(x);                                // f32[..., 784] -> f32[..., 256]
//   Shape s = up.kernel.shape();                     // [784,256]
//
// Sizes are explicit and variables exist from construction on. Keys come from `rngs.params()`, the
// kernel's first. Parameters are kept in `param_dtype`; a layer computes in `dtype`, by default in
// the common dtype of its input and parameters. Kernels are lecun_normal and biases zero unless an
// initialiser is given.
#pragma once

#include <optional>
#include <string>

#include "linnet/nnx/layers_init.h"

namespace linnet::nnx {

/// What Linear, LinearGeneral and Einsum have in common.
struct LinearOptions {
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};
  Metadata kernel_metadata = {};
  Metadata bias_metadata = {};
};

/// x [..., in] -> x · kernel + bias [..., out]; kernel [in, out], bias [out] (N-117).
class Linear {
 public:
  using Options = LinearOptions;
  Linear(int64_t in_features, int64_t out_features, Rngs& rngs);
  Linear(int64_t in_features, int64_t out_features, const Options& options, Rngs& rngs);

  /// @throws ShapeError if the last dimension of x is not in_features.
  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  std::optional<DType> dtype;

  LINNET_FIELDS(kernel, bias, dtype)
};

struct LinearGeneralOptions {
  Axes axis = {-1};
  /// Sizes of the batch axes 0, 1, … of x: each element has a kernel of its own.
  Shape batch_sizes = {};
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};
  Metadata kernel_metadata = {};
  Metadata bias_metadata = {};
};

/// Contracts `axis` of x (sizes in_features) into out_features: kernel [batch..., in..., out...],
/// bias [batch..., out...]; the kernel's initialiser sees [batch * in, out] (N-118).
class LinearGeneral {
 public:
  using Options = LinearGeneralOptions;
  LinearGeneral(const Shape& in_features, const Shape& out_features, Rngs& rngs);
  /// @throws ValueError unless there is one axis for each of in_features.
  LinearGeneral(const Shape& in_features, const Shape& out_features, const Options& options,
                Rngs& rngs);

  /// @throws ShapeError if x does not have the sizes given.
  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  Shape in_features, batch_sizes;
  Axes axis;
  std::optional<DType> dtype;

  LINNET_FIELDS(kernel, bias, in_features, batch_sizes, axis, dtype)
};

/// einsum(equation, x, kernel) + bias (N-119). The bias has the sizes of those of the kernel's
/// letters that are in the output; none without `bias_shape`.
class Einsum {
 public:
  using Options = LinearOptions;
  Einsum(std::string equation, const Shape& kernel_shape, const std::optional<Shape>& bias_shape,
         Rngs& rngs);
  Einsum(std::string equation, const Shape& kernel_shape, const std::optional<Shape>& bias_shape,
         const Options& options, Rngs& rngs);

  /// @throws ValueError if the equation has not two operands and an explicit output.
  Tensor operator()(const Tensor& x) const;
  /// With another equation.
  Tensor operator()(const Tensor& x, const std::string& equation) const;

  Param kernel;
  std::optional<Param> bias;
  std::string equation;
  std::optional<DType> dtype;

  LINNET_FIELDS(kernel, bias, equation, dtype)
};

struct EmbedOptions {
  std::optional<DType> dtype = {};  ///< by default the table's
  DType param_dtype = DType::kF32;
  ParamInit embedding_init = {};
  Metadata embedding_metadata = {};
};

/// Rows of a table: integers [...] -> [..., features]; embedding [num_embeddings, features], normal
/// with variance 1 / features (N-122).
class Embed {
 public:
  using Options = EmbedOptions;
  Embed(int64_t num_embeddings, int64_t features, Rngs& rngs);
  Embed(int64_t num_embeddings, int64_t features, const Options& options, Rngs& rngs);

  /// @throws DTypeError unless the indices are integers.
  Tensor operator()(const Tensor& indices) const;
  /// query [..., features] · embeddingᵀ -> [..., num_embeddings], for tied weights.
  Tensor attend(const Tensor& query) const;

  Param embedding;
  std::optional<DType> dtype;

  LINNET_FIELDS(embedding, dtype)
};

}  // namespace linnet::nnx
