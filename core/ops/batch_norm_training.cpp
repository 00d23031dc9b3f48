#include "core/ops/batch_norm_training.h"

#include "core/ops/activation.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

/// With what follows the norm of `primitive`.
template <const Primitive& (*primitive)()>
TypeList infer(const BatchNormReluParams& p, Inputs x) {
  if (p.has_residual &&
      (x.size() < 2 || x.back().shape() != x[0].shape() || x.back().dtype() != x[0].dtype())) {
    fail<ShapeError>("{}_relu: expected a residual {}, got {}", primitive().name,
                     to_string(x[0].type()), to_string(x.back().type()));
  }
  return primitive().infer(p.norm, x.first(x.size() - p.has_residual));
}

template <const Primitive& (*primitive)()>
TensorList decompose(const BatchNormReluParams& p, Inputs x) {
  TensorList out = emit(primitive(), x.first(x.size() - p.has_residual), p.norm);
  if (p.has_residual) out[0] = add(out[0], x.back());
  out[0] = emit_one(relu_primitive(), {out[0]});
  return out;
}

TypeList infer_backward(const BatchNormParams& p, Inputs x) {
  return batch_norm_backward_primitive().infer(p, x.first(x.size() - p.has_bias));
}

TensorList decompose_backward(const BatchNormParams& p, Inputs x) {
  TensorList norm{x[0], x[1], x[2]};
  norm.insert(norm.end(), x.begin() + 4, x.end());
  const Tensor y = emit_one(batch_norm_inference_primitive(), norm, p);
  TensorList operands(x.begin(), x.end() - p.has_bias);
  operands[3] = emit_one(relu_grad_primitive(), {y, x[3]});
  return emit(batch_norm_backward_primitive(), operands, p);
}

}  // namespace

const Primitive& batch_norm_relu_backward_primitive() {
  static const Primitive& p = define(Composite<BatchNormParams>{.name = "batch_norm_relu_backward",
                                                                .decompose = decompose_backward,
                                                                .infer = infer_backward});
  return p;
}

const Primitive& batch_norm_train_relu_primitive() {
  static const Primitive& p =
      define(Composite<BatchNormReluParams>{.name = "batch_norm_train_relu",
                                            .decompose = decompose<batch_norm_train_primitive>,
                                            .infer = infer<batch_norm_train_primitive>});
  return p;
}

const Primitive& batch_norm_inference_relu_primitive() {
  static const Primitive& p =
      define(Composite<BatchNormReluParams>{.name = "batch_norm_inference_relu",
                                            .decompose = decompose<batch_norm_inference_primitive>,
                                            .infer = infer<batch_norm_inference_primitive>});
  return p;
}

}  // namespace linnet
