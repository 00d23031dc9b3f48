#include "linnet/layers/batch_apply.h"

#include "linnet/detail/format.h"

namespace linnet::layers::detail {
namespace {

bool has_at_least(const Tensor& tensor, int64_t count) {
  return static_cast<int64_t>(tensor.rank()) >= count;
}

}  // namespace

Shape leading_sizes(const TensorList& tensors, int64_t count) {
  for (const Tensor& tensor : tensors) {
    if (has_at_least(tensor, count))
      return Shape(tensor.shape().begin(), tensor.shape().begin() + count);
  }
  fail<ValueError>("BatchApply: expected an argument of {} dimensions at least", count);
}

TensorList with_merged_dimensions(TensorList tensors, int64_t count) {
  for (Tensor& tensor : tensors) {
    if (!has_at_least(tensor, count)) continue;
    const Shape& shape = tensor.shape();
    Shape merged{element_count(Shape(shape.begin(), shape.begin() + count))};
    merged.append(shape.begin() + count, shape.end());
    tensor = reshape(tensor, merged);
  }
  return tensors;
}

TensorList with_split_dimension(TensorList tensors, const Shape& sizes) {
  for (Tensor& tensor : tensors) {
    if (tensor.rank() == 0 || tensor.shape(0) != element_count(sizes)) {
      fail<ValueError>("BatchApply: expected a result [{}, ...], got {}", element_count(sizes),
                       to_string(tensor.type()));
    }
    Shape split = sizes;
    split.append(tensor.shape().begin() + 1, tensor.shape().end());
    tensor = reshape(tensor, split);
  }
  return tensors;
}

}  // namespace linnet::layers::detail
