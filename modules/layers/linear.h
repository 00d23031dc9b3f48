// The mathematics of linear layers. Both module APIs call it; neither adds to it.
#pragma once

#include <optional>
#include <string>

#include "linnet/init.h"
#include "linnet/ops.h"

namespace linnet::layers {

/// The dimensions of `a`, then those of `b`, then those of `c`.
Shape joined(const Shape& a, const Shape& b, const Shape& c = {});

/// x [..., in] · kernel [in, out] + bias [out]; bias may be undefined. Computed in `dtype`, by
/// default the common dtype of all three.
Tensor dense(const Tensor& x, const Tensor& kernel, const Tensor& bias, std::optional<DType> dtype);

/// Axes of a general linear layer, resolved against an input and ascending: batch axes first in the
/// kernel, then the contracted axes, then the features.
struct GeneralAxes {
  Axes batch, contracted;
  Shape batch_sizes, in_sizes;
};
/// @throws ValueError unless the batch axes are 0, 1, … and no axis is used twice.
GeneralAxes general_axes(const Shape& shape, const Axes& axis, const Axes& batch_dims,
                         const char* operation);

/// x contracted over `axes.contracted` with kernel [batch..., in..., features...] + bias
/// [batch..., features...]; result [batch..., rest of x..., features...].
Tensor dense_general(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                     const GeneralAxes& axes, std::optional<DType> dtype);

/// An equation of two operands, without blanks.
/// @throws ValueError unless there is one comma and an explicit output.
std::string checked_einsum(const std::string& equation);
/// Shape of an Einsum layer's bias, and the shape it is given to be added: sizes of the kernel's
/// letters that appear in the output, in output order; 1 elsewhere.
struct EinsumBias {
  Shape shape, broadcast;
};
EinsumBias einsum_bias(const std::string& equation, const Shape& kernel, size_t output_rank);
/// einsum(x, kernel) + bias.
Tensor einsum_layer(const std::string& equation, const Tensor& x, const Tensor& kernel,
                    const Tensor& bias, std::optional<DType> dtype);

/// Normal with variance 1 / features: the default of embeddings.
const Initializer& embedding_initializer();
/// Rows of `embedding` [count, features] at integer indices [...]; a table of one row is repeated.
/// @throws DTypeError for other indices (L-125).
Tensor embed(const Tensor& indices, const Tensor& embedding, std::optional<DType> dtype);
/// query [..., features] · embeddingᵀ -> [..., count].
Tensor attend(const Tensor& query, const Tensor& embedding, std::optional<DType> dtype);

}  // namespace linnet::layers
