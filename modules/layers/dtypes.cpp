#include "linnet/layers/dtypes.h"

#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::layers {

DType canonicalize_dtype(const TensorList& tensors, std::optional<DType> dtype) {
  if (dtype) {
    if (!is_inexact(*dtype))
      fail<DTypeError>("dtype of a layer: expected a floating type, got {}", name_of(*dtype));
    return *dtype;
  }
  std::optional<WeakDType> common;
  for (const Tensor& tensor : tensors) {
    if (!tensor.defined()) continue;
    const WeakDType next{tensor.dtype(), tensor.weak()};
    common = common ? promote_types(*common, next) : next;
  }
  if (!common) return DType::kF32;
  return is_inexact(common->dtype) ? common->dtype : promote_types(common->dtype, DType::kF32);
}

TensorList promote_dtype(TensorList tensors, std::optional<DType> dtype) {
  const DType common = canonicalize_dtype(tensors, dtype);
  for (Tensor& tensor : tensors) {
    if (tensor.defined()) tensor = astype(tensor, common);
  }
  return tensors;
}

}  // namespace linnet::layers
