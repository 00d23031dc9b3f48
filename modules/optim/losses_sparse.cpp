// Losses of linnet/losses_structured.h.
#include "linnet/losses_structured.h"

#include "linnet/detail/format.h"
#include "linnet/nn.h"
#include "modules/optim/losses.h"

namespace linnet::loss {

Tensor dice_loss(const Tensor& predictions, const Tensor& targets, const DiceOptions& o) {
  Tensor x = as_floating(predictions), y = target_for(x, targets);
  if (x.rank() + 1 == y.rank()) x = expand_dims(x, -1);
  if (y.rank() + 1 == x.rank()) y = expand_dims(y, -1);
  if (x.shape() != y.shape() || x.rank() < 2)
    fail<ShapeError>(
        "dice_loss: expected predictions and targets [batch, ..., classes], got {} and {}",
        to_string(predictions.type()), to_string(targets.type()));
  const int64_t classes = x.shape(-1);
  if (o.apply_softmax) x = classes == 1 ? sigmoid(x) : softmax(x, -1);
  Axes axes = o.axes.value_or(Axes{});
  if (!o.axes)
    for (int64_t d = 1; d + 1 < static_cast<int64_t>(x.rank()); ++d) axes.push_back(d);
  const auto total = [&](const Tensor& z) { return axes.empty() ? z : sum(z, axes); };
  const Tensor both = total(x * y);
  const Tensor rest = o.alpha * (total(x) - both) + o.beta * (total(y) - both);
  Tensor loss = 1 - (both + o.smooth) / (both + rest + o.smooth);
  if (o.class_weights.defined()) loss = loss * o.class_weights;
  if (o.ignore_background && classes > 1) loss = slice_axis(loss, 1, classes, -1);
  return o.per_class ? loss : mean(loss, -1);
}

Tensor multiclass_generalized_dice_loss(const Tensor& predictions, const Tensor& targets,
                                        const DiceOptions& o) {
  const Tensor y = target_for(as_floating(predictions), targets);
  Axes front;
  for (int64_t d = 0; d + 1 < static_cast<int64_t>(y.rank()); ++d) front.push_back(d);
  const Tensor weights = 1 / (square(sum(y, front)) + 1e-7);
  DiceOptions options = o;
  options.class_weights = weights / sum(weights) * static_cast<double>(y.shape(-1));
  options.per_class = true;
  return mean(dice_loss(predictions, targets, options));
}

Tensor binary_dice_loss(const Tensor& predictions, const Tensor& targets, const DiceOptions& o) {
  const bool bare = predictions.rank() == targets.rank() &&
                    (predictions.rank() == 0 || predictions.shape(-1) != 1);
  return bare ? dice_loss(expand_dims(predictions, -1), expand_dims(targets, -1), o)
              : dice_loss(predictions, targets, o);
}

Tensor sparsemax(const Tensor& scores) {
  const Tensor x = as_floating(scores);
  const int64_t n = x.rank() == 0 ? 0 : x.shape(-1);
  if (n == 0)
    fail<ShapeError>("sparsemax: expected scores of classes, got {}", to_string(scores.type()));
  // The k largest are above the threshold, for the largest k with 1 + k x_k > x_1 + ... + x_k.
  const Tensor sorted = flip(sort(x, -1), {-1}), sums = cumsum(sorted, -1);
  const Tensor number = astype(iota(DType::kI32, {n}), x.dtype()) + 1;
  const Tensor within = 1 + number * sorted > sums;
  const Tensor count = sum(astype(within, DType::kI32), Axes{-1}, true);
  const Tensor of_count = take_along_axis(sums, count - 1, -1, GatherMode::kClip);
  return relu(x - (of_count - 1) / astype(count, x.dtype()));
}

Tensor sparsemax_loss(const Tensor& logits, const Tensor& labels) {
  const Tensor x = as_floating(logits);
  return sparse_plus(where(not_equal(labels, 0), -x, x));
}

Tensor multiclass_sparsemax_loss(const Tensor& scores, const Tensor& labels) {
  const Tensor x = as_floating(scores), p = sparsemax(x);
  const Tensor own = take_along_axis(x, expand_dims(labels, -1), -1);
  return sum(where(p > 0, p * (x - own), 0.0), -1) + 0.5 * (1 - sum(square(p), -1));
}

Tensor ranking_softmax_loss(const Tensor& scores, const Tensor& relevances,
                            const RankingOptions& o) {
  const Tensor x = as_floating(scores);
  Tensor y = target_for(x, relevances);
  if (o.weights.defined()) y = y * o.weights;
  if (!o.where.defined()) return -sum(y * log_softmax(x, -1), -1);
  return -sum(where(o.where, y * log_softmax(x, o.where, -1), 0.0), -1);
}

Tensor safe_softmax_cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Tensor x = as_floating(logits), y = target_for(x, labels);
  return -sum(where(equal(y, 0), 0.0, y * log_softmax(x, -1)), -1);
}

}  // namespace linnet::loss
