#include "linnet/detail/format.h"
#include "linnet/tree_functions.h"

namespace linnet::tree::detail {

Tensor joined_flat(const TensorList& tensors) {
  if (tensors.empty()) return zeros({0});
  DType dtype = tensors[0].dtype();
  for (const Tensor& tensor : tensors) dtype = promote_types(dtype, tensor.dtype());
  TensorList flat;
  for (const Tensor& tensor : tensors) flat.push_back(astype(tensor, dtype).reshape({-1}));
  return concatenate(flat, 0);
}

TensorList pieces_of_flat(const Tensor& vector, const TensorList& like) {
  int64_t elements = 0;
  for (const Tensor& tensor : like) elements += tensor.size();
  if (vector.rank() != 1 || vector.size() != elements) {
    fail<ShapeError>("ravel: expected a vector of {} elements for {} leaves, got {}", elements,
                     like.size(), to_string(vector.type()));
  }
  TensorList pieces;
  int64_t begin = 0;
  for (const Tensor& tensor : like) {
    const int64_t end = begin + tensor.size();
    pieces.push_back(astype(slice(vector, {begin}, {end}).reshape(tensor.shape()), tensor.dtype()));
    begin = end;
  }
  return pieces;
}

}  // namespace linnet::tree::detail
