#include "core/ops/batch_norm_training.h"

#include "core/ops/activation.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

TypeList infer(const BatchNormReluParams& p, Inputs x) {
  if (p.has_residual &&
      (x.size() < 2 || x.back().shape() != x[0].shape() || x.back().dtype() != x[0].dtype())) {
    fail<ShapeError>("batch_norm_train_relu: expected a residual {}, got {}",
                     to_string(x[0].type()), to_string(x.back().type()));
  }
  return batch_norm_train_primitive().infer(p.norm, x.first(x.size() - p.has_residual));
}

TensorList decompose(const BatchNormReluParams& p, Inputs x) {
  TensorList out = emit(batch_norm_train_primitive(), x.first(x.size() - p.has_residual), p.norm);
  if (p.has_residual) out[0] = add(out[0], x.back());
  out[0] = emit_one(relu_primitive(), {out[0]});
  return out;
}

}  // namespace

const Primitive& batch_norm_train_relu_primitive() {
  static const Primitive& p = define(Composite<BatchNormReluParams>{
      .name = "batch_norm_train_relu", .decompose = decompose, .infer = infer});
  return p;
}

}  // namespace linnet
