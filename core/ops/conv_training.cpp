#include "core/ops/conv_training.h"

#include "core/ops/activation.h"
#include "core/ops/nn.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

TensorList decompose(const ConvDataAddParams& p, Inputs x) {
  const Tensor sum = emit_one(conv_backward_data_primitive(), {x[0], x[1]}, p.conv) + x[2];
  return {p.masks ? emit_one(relu_grad_primitive(), {x[3], sum}) : sum};
}

TypeList infer(const ConvDataAddParams& p, Inputs x) {
  constexpr const char* kName = "conv_backward_data_add";
  const size_t expected = size_t{3} + p.masks;
  if (x.size() != expected)
    fail<ShapeError>("{}: expected {} operands, got {}", kName, expected, x.size());
  TypeList out = conv_backward_data_primitive().infer(p.conv, x.first(2));
  for (const Tensor& operand : x.subspan(2)) {
    if (operand.shape() == out[0].shape && operand.dtype() == out[0].dtype) continue;
    fail<ShapeError>("{}: expected {}, got {}", kName, to_string(out[0]),
                     to_string(operand.type()));
  }
  out[0].weak = false;
  return out;
}

TensorList decompose_moments(const ConvParams& p, Inputs x) {
  const Tensor y = emit_one(conv_primitive(), {x[0], x[1]}, p);
  const TensorList norm = emit(batch_norm_train_primitive(), {y}, BatchNormParams{});
  return {y, norm[1], norm[2]};
}

TypeList infer_moments(const ConvParams& p, Inputs x) {
  TypeList out = conv_primitive().infer(p, x);
  out[0].weak = false;
  const Tensor y[] = {abstract(out[0])};
  const TypeList norm = batch_norm_train_primitive().infer(BatchNormParams{}, y);
  return {out[0], norm[1], norm[2]};
}

}  // namespace

const Primitive& conv_and_moments_primitive() {
  static const Primitive& p = define(Composite<ConvParams>{
      .name = "conv_and_moments", .decompose = decompose_moments, .infer = infer_moments});
  return p;
}

const Primitive& conv_backward_data_add_primitive() {
  static const Primitive& p = define(Composite<ConvDataAddParams>{
      .name = "conv_backward_data_add", .decompose = decompose, .infer = infer});
  return p;
}

}  // namespace linnet
