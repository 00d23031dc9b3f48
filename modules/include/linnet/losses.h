// Losses, per example or per element as in optax: nothing is averaged over the batch (J-137 …
// J-143). Predictions and labels may be integers or bools; they are computed with as floating
// numbers, labels in the dtype of the predictions.
//
//   Tensor loss = mean(loss::huber_loss(predictions, targets));
//
// softmax_cross_entropy and cross_entropy are operations (ops.h).
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::loss {

/// -y log sigmoid(x) - (1 - y) log sigmoid(-x), elementwise.
Tensor sigmoid_binary_cross_entropy(const Tensor& logits, const Tensor& labels);
Tensor squared_error(const Tensor& predictions, const Tensor& targets);
/// Half the squared error.
Tensor l2_loss(const Tensor& predictions, const Tensor& targets);
/// Quadratic within `delta`, linear beyond.
Tensor huber_loss(const Tensor& predictions, const Tensor& targets, double delta = 1);
Tensor log_cosh(const Tensor& predictions, const Tensor& targets);
/// (1 - alpha) y + alpha / classes.
Tensor smooth_labels(const Tensor& labels, double alpha);
/// max(0, 1 - x y) for labels in {-1, 1}.
Tensor hinge_loss(const Tensor& predictions, const Tensor& labels);
/// Over the last axis; squared norms are at least `epsilon`. Without one, a vector of zeros gives
/// NaN.
Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, double epsilon = 0);
Tensor cosine_distance(const Tensor& predictions, const Tensor& targets, double epsilon = 0);
/// sum t (log t - log_p) over the last axis; 0 log 0 = 0.
Tensor kl_divergence(const Tensor& log_predictions, const Tensor& targets);

}  // namespace linnet::loss

#pragma GCC visibility pop
