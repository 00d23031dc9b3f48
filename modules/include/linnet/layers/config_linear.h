// Settings of linear layers: Dense (nnx::Linear), DenseGeneral (nnx::LinearGeneral), Einsum, Embed.
//
//   linen::DenseGeneral{.features = {2, 3}, .axis = {1, -1}}
//   nnx::LinearGeneral({4, 5}, {2, 3}, {.axis = {1, -1}}, rngs)
//
// Parameters are kept in `param_dtype`; a layer computes in `dtype`, by default in the common dtype
// of its input and parameters. Kernels are lecun_normal and biases zero unless an initialiser is
// given.
#pragma once

#include <optional>
#include <string>

#include "linnet/layers/config.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// x [..., in] -> x · kernel + bias [..., features]. Parameters: kernel [in, features], bias
/// [features] (L-115, N-117).
template <class Api>
struct Dense {
  FunctionalOnly<Api, int64_t> features{0};
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit bias_init = {};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, use_bias, dtype, param_dtype, kernel_init, bias_init, kernel_metadata,
                bias_metadata)

  Tensor operator()(typename Api::Scope& s, const Tensor& x) const
    requires(Api::kFunctional);
};

/// Contracts `axis` of x into `features`, separately for each element of the batch dimensions
/// (L-118, N-118). Parameters: kernel [batch..., in..., features...] with the batch dimensions and
/// the contracted ones in ascending order of axes, bias [batch..., features...]; initialisers see
/// the kernel as [batch * in, features] and the bias as one axis.
template <class Api>
struct DenseGeneral {
  FunctionalOnly<Api, Shape> features{};
  Axes axis = {-1};
  FunctionalOnly<Api, Axes> batch_dims{};
  /// Sizes of the batch axes 0, 1, … of x: each element has a kernel of its own.
  ObjectOnly<Api, Shape> batch_sizes{};
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit bias_init = {};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, axis, batch_dims, batch_sizes, use_bias, dtype, param_dtype, kernel_init,
                bias_init, kernel_metadata, bias_metadata)

  /// @throws ValueError unless batch_dims are 0, 1, …
  Tensor operator()(typename Api::Scope& s, const Tensor& x) const
    requires(Api::kFunctional);
};

/// einsum(equation, x, kernel) + bias (L-119, N-119). Parameters: kernel of `shape`, bias with the
/// sizes of those of the kernel's letters that are in the output.
template <class Api>
struct Einsum {
  FunctionalOnly<Api, Shape> shape{};
  FunctionalOnly<Api, std::string> equation{};
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit bias_init = {};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(shape, equation, use_bias, dtype, param_dtype, kernel_init, bias_init,
                kernel_metadata, bias_metadata)

  /// @throws ValueError if the equation is given both to the layer and here, or to neither, or has
  /// not two operands and an explicit output.
  Tensor operator()(typename Api::Scope& s, const Tensor& x,
                    const std::string& equation_of_call = {}) const
    requires(Api::kFunctional);
};

/// Rows of a table: integers [...] -> [..., features] (L-125, N-122). Parameter: embedding
/// [num_embeddings, features], normal with variance 1 / features.
template <class Api>
struct Embed {
  FunctionalOnly<Api, int64_t> num_embeddings{0};
  FunctionalOnly<Api, int64_t> features{0};
  std::optional<DType> dtype = {};  ///< by default the table's
  DType param_dtype = DType::kF32;
  typename Api::ParamInit embedding_init = {};
  ObjectOnly<Api, Metadata> embedding_metadata{};

  LINNET_FIELDS(num_embeddings, features, dtype, param_dtype, embedding_init, embedding_metadata)

  /// @throws DTypeError unless the indices are integers.
  Tensor operator()(typename Api::Scope& s, const Tensor& indices) const
    requires(Api::kFunctional);
  /// query [..., features] · embeddingᵀ -> [..., num_embeddings]; call it in the scope of the same
  /// layer (`Scope::child`), for tied weights (L-126).
  Tensor attend(typename Api::Scope& s, const Tensor& query) const
    requires(Api::kFunctional);
};

}  // namespace linnet::layers

#pragma GCC visibility pop
