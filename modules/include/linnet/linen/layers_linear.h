// Functional linear layers: Dense, DenseGeneral, Einsum, Embed.
//
//   Tensor h = s("up", linen::Dense{.features = 256}, x);             // f32[..., in] -> f32[...,
//   256] Tensor e = s("embed", linen::Embed{32000, 512}, tokens);          // i32[b, t] -> f32[b,
//   t, 512]
//
// Parameters are kept in `param_dtype`; a layer computes in `dtype`, by default in the common dtype
// of its input and parameters. Kernels are lecun_normal and biases zero unless an initialiser is
// given.
#pragma once

#include <optional>
#include <string>

#include "linnet/linen/layers_init.h"

namespace linnet::linen {

/// x [..., in] -> x · kernel + bias [..., features]. Parameters: kernel [in, features], bias
/// [features] (L-115).
struct Dense {
  int64_t features = 0;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};

  Tensor operator()(Scope& s, const Tensor& x) const;
};

/// Contracts `axis` of x into `features`, separately for each element of `batch_dims` (L-118).
/// Parameters: kernel [batch..., in..., features...], bias [batch..., features...]; initialisers
/// see the kernel as [batch * in, features] and the bias as one axis.
struct DenseGeneral {
  Shape features = {};
  Axes axis = {-1};
  Axes batch_dims = {};
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};

  /// @throws ValueError unless batch_dims are 0, 1, …
  Tensor operator()(Scope& s, const Tensor& x) const;
};

/// einsum(equation, x, kernel) + bias (L-119). Parameters: kernel of `shape`, bias with the sizes
/// of those of the kernel's letters that are in the output.
struct Einsum {
  Shape shape = {};
  std::string equation = {};
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};

  /// @throws ValueError if the equation is given both to the layer and here, or to neither, or has
  /// not two operands and an explicit output.
  Tensor operator()(Scope& s, const Tensor& x, const std::string& equation_of_call = {}) const;
};

/// Rows of a table: integers [...] -> [..., features] (L-125). Parameter: embedding
/// [num_embeddings, features], normal with variance 1 / features.
struct Embed {
  int64_t num_embeddings = 0;
  int64_t features = 0;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit embedding_init = {};

  /// @throws DTypeError unless the indices are integers.
  Tensor operator()(Scope& s, const Tensor& indices) const;
  /// query [..., features] · embeddingᵀ -> [..., num_embeddings]; call it in the scope of the same
  /// layer
  /// (`Scope::child`), for tied weights (L-126).
  Tensor attend(Scope& s, const Tensor& query) const;
};

}  // namespace linnet::linen
