#include "linnet/losses.h"

#include <numbers>

namespace linnet::loss {

namespace {

/// Integers and bools are numbers here: in their own types differences would wrap.
Tensor real(const Tensor& x) { return is_floating(x.dtype()) ? x : astype(x, DType::kF32); }

/// Integer and bool targets take the dtype of the predictions.
Tensor target_for(const Tensor& predictions, const Tensor& targets) {
  return is_floating(targets.dtype()) ? targets : astype(targets, predictions.dtype());
}

Tensor error_of(const Tensor& predictions, const Tensor& targets) {
  const Tensor p = real(predictions);
  return p - target_for(p, targets);
}

}  // namespace

Tensor sigmoid_binary_cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Tensor x = real(logits), y = target_for(x, labels);
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
  return (1 - alpha) * real(labels) + alpha / static_cast<double>(labels.shape(-1));
}

Tensor hinge_loss(const Tensor& predictions, const Tensor& labels) {
  const Tensor x = real(predictions);
  return maximum(0, 1 - x * target_for(x, labels));
}

Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, double epsilon) {
  // The square is kept above epsilon, not the norm, so that the root has a derivative at 0.
  const auto unit = [&](const Tensor& x) {
    return x / sqrt(maximum(sum(square(x), Axes{-1}, true), epsilon));
  };
  const Tensor x = real(predictions);
  return sum(unit(x) * unit(target_for(x, targets)), Axes{-1});
}
Tensor cosine_distance(const Tensor& predictions, const Tensor& targets, double epsilon) {
  return 1 - cosine_similarity(predictions, targets, epsilon);
}

Tensor kl_divergence(const Tensor& log_predictions, const Tensor& targets) {
  const Tensor log_p = real(log_predictions), t = target_for(log_p, targets);
  const Tensor positive = t > 0;
  const Tensor safe = where(positive, t, 1.0);
  return sum(where(positive, t * (log(safe) - log_p), 0.0), Axes{-1});
}

}  // namespace linnet::loss
