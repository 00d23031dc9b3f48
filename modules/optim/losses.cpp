#include "linnet/losses.h"

#include <limits>
#include <numbers>

#include "linnet/detail/format.h"
#include "linnet/nn.h"
#include "modules/optim/losses.h"

namespace linnet::loss {

Tensor as_floating(const Tensor& x) { return is_floating(x.dtype()) ? x : astype(x, DType::kF32); }

Tensor target_for(const Tensor& predictions, const Tensor& targets) {
  return is_floating(targets.dtype()) ? targets : astype(targets, predictions.dtype());
}

namespace {

Tensor error_of(const Tensor& predictions, const Tensor& targets) {
  const Tensor p = as_floating(predictions);
  return p - target_for(p, targets);
}

/// The sum of the elements that take part.
Tensor sum_over(const Tensor& x, const Over& over, bool keepdims = false) {
  return sum(over.where.defined() ? where(over.where, x, scalar(0, x.dtype())) : x, over.axis,
             keepdims);
}

Tensor log_probabilities(const Tensor& logits, const Over& over) {
  return over.where.defined() ? log_softmax(logits, over.where, over.axis)
                              : log_softmax(logits, over.axis);
}

/// The score of each label along the last axis.
Tensor score_of_label(const Tensor& scores, const Tensor& labels) {
  return squeeze(take_along_axis(scores, expand_dims(labels, -1), -1), Axes{-1});
}

}  // namespace

Tensor sigmoid_binary_cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Tensor x = as_floating(logits), y = target_for(x, labels);
  return -y * log_sigmoid(x) - (1 - y) * log_sigmoid(-x);
}
Tensor squared_error(const Tensor& predictions, const Tensor& targets) {
  return square(error_of(predictions, targets));
}
Tensor l2_loss(const Tensor& predictions, const Tensor& targets) {
  return 0.5 * squared_error(predictions, targets);
}

Tensor huber_loss(const Tensor& predictions, const Tensor& targets, double delta) {
  const Tensor error = abs(error_of(predictions, targets));
  const Tensor quadratic = minimum(error, delta);
  return 0.5 * square(quadratic) + delta * (error - quadratic);
}

Tensor log_cosh(const Tensor& predictions, const Tensor& targets) {
  const Tensor error = error_of(predictions, targets);
  return logaddexp(error, -error) - std::numbers::ln2;
}

Tensor smooth_labels(const Tensor& labels, double alpha) {
  return (1 - alpha) * as_floating(labels) + alpha / static_cast<double>(labels.shape(-1));
}

Tensor hinge_loss(const Tensor& predictions, const Tensor& labels) {
  const Tensor x = as_floating(predictions);
  return maximum(0, 1 - x * target_for(x, labels));
}

Tensor perceptron_loss(const Tensor& predictions, const Tensor& labels) {
  const Tensor x = as_floating(predictions);
  return maximum(0, -x * target_for(x, labels));
}

Tensor multiclass_hinge_loss(const Tensor& scores, const Tensor& labels) {
  const Tensor x = as_floating(scores), hot = one_hot(labels, x.shape(-1), x.dtype());
  return max(x + 1 - hot, -1) - sum(x * hot, -1);
}
Tensor multiclass_perceptron_loss(const Tensor& scores, const Tensor& labels) {
  const Tensor x = as_floating(scores), hot = one_hot(labels, x.shape(-1), x.dtype());
  return max(x, -1) - sum(x * hot, -1);
}

Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, double epsilon,
                         const Over& over) {
  // The square is kept above epsilon, not the norm, so that the root has a derivative at 0.
  const auto unit = [&](const Tensor& x) {
    return x / sqrt(maximum(sum_over(square(x), over, true), epsilon));
  };
  const Tensor x = as_floating(predictions);
  return sum_over(unit(x) * unit(target_for(x, targets)), over);
}
Tensor cosine_distance(const Tensor& predictions, const Tensor& targets, double epsilon,
                       const Over& over) {
  return 1 - cosine_similarity(predictions, targets, epsilon, over);
}

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, const Over& over) {
  const Tensor x = as_floating(logits), y = target_for(x, labels);
  if (!over.where.defined()) return linnet::softmax_cross_entropy(x, y, over.axis);
  // The logarithm is -inf for elements that take no part, and must not meet a label.
  const Tensor log_p = where(over.where, log_probabilities(x, over), scalar(0, x.dtype()));
  return -sum_over(y * log_p, over);
}

Tensor softmax_cross_entropy_with_integer_labels(const Tensor& logits, const Tensor& labels,
                                                 const Over& over) {
  const Tensor x = moveaxis(as_floating(logits), over.axis, -1);
  if (!over.where.defined()) return linnet::softmax_cross_entropy_with_integer_labels(x, labels);
  const Tensor mask = moveaxis(broadcast_to(over.where, logits.shape()), over.axis, -1);
  const Tensor loss = logsumexp(x, mask, Axes{-1}) - score_of_label(x, labels);
  return where(any(mask, -1), loss, scalar(0, loss.dtype()));
}

Tensor poly_loss_cross_entropy(const Tensor& logits, const Tensor& labels, double epsilon,
                               const Over& over) {
  const Tensor x = as_floating(logits), y = target_for(x, labels);
  const Tensor p = over.where.defined() ? softmax(x, over.where, over.axis) : softmax(x, over.axis);
  return softmax_cross_entropy(x, y, over) + epsilon * sum_over(y * (1 - p), over);
}

Tensor sigmoid_focal_loss(const Tensor& logits, const Tensor& labels, const FocalOptions& o) {
  const Tensor x = as_floating(logits), y = astype(labels, x.dtype());
  // log(1 - p of the label) as a sum of weighted exponentials, without those of weight 0.
  const Tensor none = scalar(-std::numeric_limits<double>::infinity(), x.dtype());
  const Tensor negative = where(equal(y, 1), none, log_sigmoid(x));
  const Tensor positive = where(equal(y, 0), none, log_sigmoid(-x));
  const Tensor most = stop_gradient(maximum(negative, positive));
  const Tensor log_miss = log((1 - y) * exp(negative - most) + y * exp(positive - most)) + most;
  const Tensor loss = sigmoid_binary_cross_entropy(x, y) * exp(o.gamma * log_miss);
  return o.alpha ? (*o.alpha * y + (1 - *o.alpha) * (1 - y)) * loss : loss;
}

Tensor kl_divergence(const Tensor& log_predictions, const Tensor& targets, const Over& over) {
  const Tensor log_p = as_floating(log_predictions), t = target_for(log_p, targets);
  const Tensor positive = t > 0;
  const Tensor safe = where(positive, t, 1.0);
  return sum_over(where(positive, t * (log(safe) - log_p), 0.0), over);
}

Tensor kl_divergence_with_log_targets(const Tensor& log_predictions, const Tensor& log_targets,
                                      const Over& over) {
  const Tensor log_p = as_floating(log_predictions), log_t = target_for(log_p, log_targets);
  return sum_over(exp(log_t) * (log_t - log_p), over);
}

Tensor generalized_kl_divergence(const Tensor& log_predictions, const Tensor& targets,
                                 const Over& over) {
  const Tensor log_p = as_floating(log_predictions), t = target_for(log_p, targets);
  return kl_divergence(log_p, t, over) + sum_over(exp(log_p) - t, over);
}

Tensor js_divergence(const Tensor& log_predictions, const Tensor& targets, const Over& over) {
  const Tensor log_p = as_floating(log_predictions), t = target_for(log_p, targets);
  const Tensor p = exp(log_p), middle = (p + t) / 2;
  const Tensor log_middle = log(where(middle > 0, middle, 1.0));
  return 0.5 * (kl_divergence(log_middle, p, over) + kl_divergence(log_middle, t, over));
}

}  // namespace linnet::loss
