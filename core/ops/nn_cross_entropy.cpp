#include <array>

#include "core/ops/dims.h"
#include "core/ops/nn.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

constexpr const char* kName = "softmax_cross_entropy_with_integer_labels";

Shape rows_of(const Tensor& logits) {
  return Shape(logits.shape().begin(), logits.shape().end() - 1);
}

void check_operands(const Tensor& logits, const Tensor& labels) {
  if (logits.rank() == 0 || !is_floating(logits.dtype())) {
    fail<DTypeError>("{}: expected floating logits [..., classes], got {}", kName,
                     to_string(logits.type()));
  }
  if (!is_integer(labels.dtype())) {
    fail<DTypeError>(
        "{}: expected integer labels, got {}\n  hint: softmax_cross_entropy takes probabilities",
        kName, to_string(labels.type()));
  }
  if (labels.shape() != rows_of(logits)) {
    fail<ShapeError>("{}: expected labels of shape {} for logits {}, got {}", kName,
                     to_string(rows_of(logits)), to_string(logits.type()),
                     to_string(labels.type()));
  }
}

TypeList infer_loss(const NoParams&, Inputs x) {
  check_operands(x[0], x[1]);
  const TensorType row{wide_dtype(x[0].dtype()), rows_of(x[0]), false, x[0].device()};
  return {row, row};
}

/// The distance of the logits from the largest of their row. Loss and probabilities come from
/// distances: those from the logarithm of a row's sum would be off by as much as that is rounded.
Tensor distances(const Tensor& logits) {
  const Tensor wide = widened(logits);
  return sub(wide, exponent_shift(wide, {static_cast<int64_t>(wide.rank()) - 1}));
}

TensorList decompose_loss(const NoParams&, Inputs x) {
  const Tensor shifted = distances(x[0]);
  const Tensor log_sum = log(sum(exp(shifted), Axes{-1}));
  const Tensor picked = squeeze(take_along_axis(shifted, expand_dims(x[1], -1), -1), Axes{-1});
  return {sub(log_sum, picked), log_sum};
}

TypeList infer_backward(const NoParams&, Inputs x) {
  check_operands(x[0], x[1]);
  for (const Tensor& row : x.subspan(2)) {
    if (row.shape() == rows_of(x[0])) continue;
    fail<ShapeError>("{}_backward: expected one number per row of {}, got {}", kName,
                     to_string(x[0].type()), to_string(row.type()));
  }
  return {{x[0].dtype(), x[0].shape(), false, x[0].device()}};
}

Tensor probabilities(const Tensor& logits, const Tensor& log_sum) {
  return exp(sub(distances(logits), expand_dims(log_sum, -1)));
}

TensorList decompose_backward(const NoParams&, Inputs x) {
  const Tensor &logits = x[0], &labels = x[1], &log_sum = x[2], &dloss = x[3];
  const int64_t classes = logits.shape(-1);
  // Narrow labels may not hold the number of classes.
  const Tensor wide = size_of(labels.dtype()) < 4 ? astype(labels, DType::kI32) : labels;
  const Tensor wrapped =
      is_signed_integer(wide.dtype()) ? where(less(wide, 0), add(wide, classes), wide) : wide;
  const Tensor p = probabilities(logits, log_sum);
  const Tensor target = one_hot(wrapped, classes, p.dtype());
  return {converted(mul(sub(p, target), expand_dims(dloss, -1)), logits.dtype())};
}

TypeList infer_both(const NoParams& p, Inputs x) {
  TypeList out = infer_loss(p, x.first(2));
  const std::array<Tensor, 3> operands{x[0], x[1], x[2]};
  out.push_back(infer_backward(p, operands)[0]);
  return out;
}

TensorList decompose_both(const NoParams& p, Inputs x) {
  TensorList out = emit(integer_cross_entropy_primitive(), x.first(2), p);
  out.push_back(emit_one(integer_cross_entropy_backward_primitive(), {x[0], x[1], out[1], x[2]}));
  return out;
}

/// The probabilities, less one for what the distances of the row are from; equal ones share it.
Tensor derivative_of_log_sum(const Tensor& logits, const Tensor& log_sum) {
  const Tensor wide = widened(logits);
  const Axes classes{static_cast<int64_t>(wide.rank()) - 1};
  const Tensor top = largest(wide, classes);
  const Tensor is_shift = astype(logical_and(equal(wide, top), is_finite(top)), wide.dtype());
  const Tensor count = maximum(sum(is_shift, classes, true), 1.0);
  return sub(probabilities(logits, log_sum), div(is_shift, count));
}

TensorList vjp_loss(const NoParams&, Inputs x, Outputs y, Inputs cts) {
  Tensor dlogits;
  if (cts[0].defined()) {
    dlogits = emit_one(integer_cross_entropy_backward_primitive(), {x[0], x[1], y[1], cts[0]});
  }
  if (cts[1].defined()) {
    const Tensor term =
        converted(mul(derivative_of_log_sum(x[0], y[1]), expand_dims(cts[1], -1)), x[0].dtype());
    dlogits = dlogits.defined() ? add(dlogits, term) : term;
  }
  return {dlogits, Tensor()};
}

/// Rows are taken alone; classes are the last dimension.
template <TypeList (*kInfer)(const NoParams&, Inputs)>
DimMap row_dims(const NoParams& p, Inputs x) {
  return dims::leading(x, kInfer(p, x), x[1].rank());
}

}  // namespace

const Primitive& integer_cross_entropy_primitive() {
  static const Primitive& p = define(Composite<NoParams>{.name = kName,
                                                         .decompose = decompose_loss,
                                                         .infer = infer_loss,
                                                         .vjp = vjp_loss,
                                                         .dims = row_dims<infer_loss>,
                                                         .nondifferentiable = bits_of({1}),
                                                         .saves_outputs = bits_of({1})});
  return p;
}

const Primitive& integer_cross_entropy_backward_primitive() {
  static const Primitive& p =
      define(Composite<NoParams>{.name = "softmax_cross_entropy_with_integer_labels_backward",
                                 .decompose = decompose_backward,
                                 .infer = infer_backward,
                                 .dims = row_dims<infer_backward>,
                                 .nondifferentiable = bits_of({1})});
  return p;
}

const Primitive& integer_cross_entropy_and_gradient_primitive() {
  static const Primitive& p =
      define(Composite<NoParams>{.name = "softmax_cross_entropy_with_integer_labels_and_gradient",
                                 .decompose = decompose_both,
                                 .infer = infer_both});
  return p;
}

Tensor softmax_cross_entropy_with_integer_labels(const Tensor& logits, const Tensor& labels) {
  const Tensor x = floating_operand(logits);
  const Tensor loss = std::move(emit(integer_cross_entropy_primitive(), {x, labels})[0]);
  return converted(loss, x.dtype());
}

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, int64_t axis) {
  return neg(sum(mul(labels, log_softmax(logits, axis)), Axes{axis}));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  return mean(softmax_cross_entropy_with_integer_labels(logits, labels));
}

}  // namespace linnet
