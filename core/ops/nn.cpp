#include "core/ops/nn.h"

#include "core/ops/batch_norm_training.h"

#include "core/ops/families.h"

namespace linnet {

Tensor converted(const Tensor& x, DType dtype) { return x.dtype() == dtype ? x : astype(x, dtype); }

Tensor widened(const Tensor& x) { return converted(x, wide_dtype(x.dtype())); }

Tensor floating_operand(const Tensor& x) {
  return is_inexact(x.dtype()) ? x : astype(x, DType::kF32);
}

void define_softmax() {
  softmax_primitive();
  log_softmax_primitive();
  softmax_backward_primitive();
  log_softmax_backward_primitive();
  logsumexp_primitive();
  integer_cross_entropy_primitive();
  integer_cross_entropy_backward_primitive();
  integer_cross_entropy_and_gradient_primitive();
  batch_norm_train_relu_primitive();
  batch_norm_inference_relu_primitive();
  batch_norm_relu_backward_primitive();
}

void define_norms() {
  layer_norm_primitive();
  layer_norm_backward_primitive();
  rms_norm_primitive();
  rms_norm_backward_primitive();
  batch_norm_train_primitive();
  batch_norm_backward_primitive();
  batch_norm_inference_primitive();
}

void define_nn() {
  define_softmax();
  define_norms();
  attention_primitive();
  attention_backward_primitive();
}

}  // namespace linnet
