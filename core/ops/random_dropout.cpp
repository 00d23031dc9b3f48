#include "core/ops/nn.h"
#include "core/ops/random.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

TypeList infer_dropout(const DropoutParams& p, Inputs x) {
  if (!key_array_shape("dropout", x[1]).empty()) {
    fail<ShapeError>("dropout: expected one key u32[2], got {}\n  hint: vmap over x and the keys",
                     to_string(x[1].type()));
  }
  if (!is_floating(x[0].dtype()))
    fail<DTypeError>("dropout: expected a floating tensor, got {}", type_of(x[0]));
  return {{x[0].dtype(), x[0].shape(), false, x[0].device()},
          {DType::kBool, p.mask_shape, false, x[0].device()}};
}

/// mask ? x / keep : 0.
Tensor masked(const Tensor& x, const Tensor& mask, double rate) {
  return where(mask, x / (1 - rate), scalar(0, x.dtype()));
}

TensorList decompose_dropout(const DropoutParams& p, Inputs x) {
  const RandomRangeParams unit{.shape = p.mask_shape, .layout = p.layout};
  const Tensor mask =
      less(emit_one(random_uniform_primitive(), {x[1]}, unit), scalar(1 - p.rate, DType::kF32));
  return {masked(x[0], mask, p.rate), mask};
}

/// The mask is kept: one byte per element is read faster than it is drawn again.
TensorList vjp_dropout(const DropoutParams& p, Inputs, Outputs y, Inputs cts) {
  return {masked(cts[0], y[1], p.rate), Tensor()};
}

}  // namespace

const Primitive& dropout_primitive() {
  static const Primitive& p = define(Composite<DropoutParams>{.name = "dropout",
                                                              .decompose = decompose_dropout,
                                                              .infer = infer_dropout,
                                                              .vjp = vjp_dropout,
                                                              .nondifferentiable = bits_of({1}),
                                                              .saves_inputs = 0,
                                                              .saves_outputs = bits_of({1})});
  return p;
}

Tensor dropout(const Tensor& x, const Tensor& key_data, double rate, const Axes& broadcast_axes) {
  if (!(rate >= 0 && rate <= 1))
    fail<ValueError>("dropout: the rate must be from 0 to 1, got {}", rate);
  const Tensor operand = floating_operand(x);
  if (rate == 0) return operand;
  if (rate == 1) return zeros_like(operand);
  Shape mask_shape = x.shape();
  for (int64_t axis : normalize_axes(broadcast_axes, x.rank(), "dropout")) mask_shape[axis] = 1;
  return emit_one(dropout_primitive(), {operand, key_data},
                  DropoutParams{rate, mask_shape, random::layout()});
}

}  // namespace linnet
