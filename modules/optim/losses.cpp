#include "linnet/losses.h"

#include <numbers>

namespace linnet::loss {

Tensor sigmoid_binary_cross_entropy(const Tensor& logits, const Tensor& labels) {
  return -labels * log_sigmoid(logits) - (1 - labels) * log_sigmoid(-logits);
}
Tensor squared_error(const Tensor& predictions, const Tensor& targets) {
  return square(predictions - targets);
}
Tensor l2_loss(const Tensor& predictions, const Tensor& targets) {
  return 0.5 * squared_error(predictions, targets);
}

Tensor huber_loss(const Tensor& predictions, const Tensor& targets, double delta) {
  const Tensor error = abs(predictions - targets);
  const Tensor quadratic = minimum(error, delta);
  return 0.5 * square(quadratic) + delta * (error - quadratic);
}

Tensor log_cosh(const Tensor& predictions, const Tensor& targets) {
  const Tensor error = predictions - targets;
  return logaddexp(error, -error) - std::numbers::ln2;
}

Tensor smooth_labels(const Tensor& labels, double alpha) {
  return (1 - alpha) * labels + alpha / static_cast<double>(labels.shape(-1));
}

Tensor hinge_loss(const Tensor& predictions, const Tensor& labels) {
  return maximum(0, 1 - predictions * labels);
}

Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, double epsilon) {
  const auto unit = [&](const Tensor& x) {
    return x / maximum(sqrt(sum(square(x), Axes{-1}, true)), epsilon);
  };
  return sum(unit(predictions) * unit(targets), Axes{-1});
}
Tensor cosine_distance(const Tensor& predictions, const Tensor& targets, double epsilon) {
  return 1 - cosine_similarity(predictions, targets, epsilon);
}

Tensor kl_divergence(const Tensor& log_predictions, const Tensor& targets) {
  const Tensor positive = targets > 0;
  const Tensor safe = where(positive, targets, 1.0);
  return sum(where(positive, targets * (log(safe) - log_predictions), 0.0), Axes{-1});
}

}  // namespace linnet::loss
