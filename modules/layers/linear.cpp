#include "modules/layers/linear.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/float8_dot.h"
#include "linnet/layers/dtypes.h"

namespace linnet::layers {
namespace {

/// The product of a layer, as a policy around it says.
Tensor product(const Tensor& x, const Tensor& kernel, const DotDims& dims) {
  return layer_products() == Products::kFloat8 ? float8_dot_general(x, kernel, dims)
                                               : dot_general(x, kernel, dims);
}

}  // namespace

Shape joined(const Shape& a, const Shape& b, const Shape& c) {
  Shape out = a;
  out.append(b.begin(), b.end());
  out.append(c.begin(), c.end());
  return out;
}

Tensor dense(const Tensor& x, const Tensor& kernel, const Tensor& bias,
             std::optional<DType> dtype) {
  if (x.rank() == 0)
    fail<ShapeError>("dense: expected x [..., {}], got {}", kernel.shape(0), to_string(x.type()));
  const TensorList in = promote_dtype({x, kernel, bias}, dtype);
  if (in[0].shape().back() != in[1].shape(0)) {
    fail<ShapeError>("dense: expected x [..., {}] for a kernel {}, got {}", kernel.shape(0),
                     to_string(kernel.type()), to_string(x.type()));
  }
  const Tensor y = product(
      in[0], in[1], {.lhs_contract = {static_cast<int64_t>(x.rank()) - 1}, .rhs_contract = {0}});
  return in[2].defined() ? y + in[2] : y;
}

GeneralAxes general_axes(const Shape& shape, const Axes& axis, const Axes& batch_dims,
                         const char* operation) {
  GeneralAxes out;
  // Ascending, in whatever order they are given: so the kernel's shape depends on which axes there
  // are only.
  out.batch = normalize_axes(batch_dims, shape.size(), operation);
  std::sort(out.batch.begin(), out.batch.end());
  out.contracted = normalize_axes(axis, shape.size(), operation);
  std::sort(out.contracted.begin(), out.contracted.end());
  for (size_t i = 0; i < out.batch.size(); ++i) {
    if (out.batch[i] != static_cast<int64_t>(i)) {
      fail<ValueError>("{}: batch dimensions must be consecutive and start at 0, got {}", operation,
                       to_string(batch_dims));
    }
  }
  for (int64_t a : out.contracted) {
    if (std::find(out.batch.begin(), out.batch.end(), a) != out.batch.end()) {
      fail<ValueError>("{}: axis {} is both a batch dimension and contracted", operation, a);
    }
    out.in_sizes.push_back(shape[a]);
  }
  for (int64_t a : out.batch) out.batch_sizes.push_back(shape[a]);
  return out;
}

Tensor dense_general(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                     const GeneralAxes& axes, std::optional<DType> dtype) {
  const TensorList in = promote_dtype({x, kernel, bias}, dtype);
  const int64_t batch = static_cast<int64_t>(axes.batch.size());
  DotDims dims{.lhs_contract = axes.contracted, .lhs_batch = axes.batch};
  for (int64_t i = 0; i < batch; ++i) dims.rhs_batch.push_back(i);
  for (size_t i = 0; i < axes.contracted.size(); ++i)
    dims.rhs_contract.push_back(batch + static_cast<int64_t>(i));
  const Tensor y = product(in[0], in[1], dims);
  if (!bias.defined()) return y;
  // The bias has the batch and feature dimensions; those of x in between are repeated.
  Shape repeated(in[2].shape().begin(), in[2].shape().begin() + batch);
  for (size_t i = in[2].rank(); i < y.rank(); ++i) repeated.push_back(1);
  for (size_t i = static_cast<size_t>(batch); i < in[2].rank(); ++i)
    repeated.push_back(in[2].shape()[i]);
  return y + reshape(in[2], repeated);
}

std::string checked_einsum(const std::string& equation) {
  std::string out;
  for (char c : equation) {
    if (c != ' ') out += c;
  }
  if (out.find("->") == std::string::npos) {
    fail<ValueError>("einsum layer: expected an explicit output after '->', got '{}'", equation);
  }
  if (std::count(out.begin(), out.end(), ',') != 1) {
    fail<ValueError>("einsum layer: expected two operands separated by one comma, got '{}'",
                     equation);
  }
  return out;
}

EinsumBias einsum_bias(const std::string& equation, const Shape& kernel, size_t output_rank) {
  const size_t comma = equation.find(','), arrow = equation.find("->");
  const std::string letters = equation.substr(comma + 1, arrow - comma - 1);
  std::string output = equation.substr(arrow + 2);
  // An ellipsis stands for as many dimensions as the letters leave over.
  const size_t dots = output.find("...");
  if (dots != std::string::npos) {
    const size_t named = output.size() - 3;
    output.replace(dots, 3, std::string(output_rank > named ? output_rank - named : 0, '.'));
  }
  EinsumBias out;
  for (char letter : output) {
    const size_t at = letter == '.' ? std::string::npos : letters.find(letter);
    const int64_t size = at == std::string::npos ? 1 : kernel[at];
    if (at != std::string::npos) out.shape.push_back(size);
    out.broadcast.push_back(size);
  }
  return out;
}

Tensor einsum_layer(const std::string& equation, const Tensor& x, const Tensor& kernel,
                    const Tensor& bias, std::optional<DType> dtype) {
  const TensorList in = promote_dtype({x, kernel, bias}, dtype);
  const Tensor y = einsum(equation, {in[0], in[1]});
  if (!bias.defined()) return y;
  return y + reshape(in[2], einsum_bias(equation, kernel.shape(), y.rank()).broadcast);
}

const Initializer& embedding_initializer() {
  // The fan is the feature axis: both axes of the rule are the first.
  static const Initializer initializer = init::variance_scaling(
      1, init::FanMode::kFanIn, init::Distribution::kNormal, {.in = {-2}, .out = {0}});
  return initializer;
}

Tensor embed(const Tensor& indices, const Tensor& embedding, std::optional<DType> dtype) {
  if (!is_integer(indices.dtype())) {
    fail<DTypeError>("embed: expected integer indices, got {}", to_string(indices.type()));
  }
  const Tensor table = promote_dtype({embedding}, dtype)[0];
  if (table.shape(0) == 1) {
    Shape shape = indices.shape();
    shape.push_back(table.shape(1));
    return broadcast_to(table, shape);
  }
  return take(table, indices, 0);
}

Tensor attend(const Tensor& query, const Tensor& embedding, std::optional<DType> dtype) {
  const TensorList in = promote_dtype({query, embedding}, dtype);
  return dot_general(
      in[0], in[1],
      {.lhs_contract = {static_cast<int64_t>(query.rank()) - 1}, .rhs_contract = {1}});
}

}  // namespace linnet::layers
