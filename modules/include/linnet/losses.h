// Losses, per example or per element as in optax: nothing is averaged over the batch (J-137 …
// J-145). Predictions and labels may be integers or bools; they are computed with as floating
// numbers, labels in the dtype of the predictions.
//
//   Tensor loss = mean(loss::huber_loss(predictions, targets));
//   Tensor part = loss::softmax_cross_entropy(logits, labels, {.where = allowed});
//
// softmax_cross_entropy over all classes and cross_entropy are operations (ops.h). All are also in
// the namespace optim.
#pragma once

#include <optional>

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::loss {

/// What a loss is summed over.
struct Over {
  int64_t axis = -1;  ///< the classes
  /// bool, broadcasts to the predictions: elements that take part; undefined means all.
  Tensor where = {};
};

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
/// max(0, -x y) for labels in {-1, 1}.
Tensor perceptron_loss(const Tensor& predictions, const Tensor& labels);
/// max_k(x_k + [k is not the label]) - x_label: scores [..., classes], integer labels [...].
Tensor multiclass_hinge_loss(const Tensor& scores, const Tensor& labels);
/// max_k(x_k) - x_label.
Tensor multiclass_perceptron_loss(const Tensor& scores, const Tensor& labels);
/// Squared norms are at least `epsilon`. Without one, a vector of zeros gives NaN.
Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, double epsilon = 0,
                         const Over& over = {});
Tensor cosine_distance(const Tensor& predictions, const Tensor& targets, double epsilon = 0,
                       const Over& over = {});

/// -sum(labels log_softmax(logits)), of the elements that take part (J-138).
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, const Over& over);
/// logsumexp(logits of those that take part) - logit of the label; 0 where none does (J-139).
Tensor softmax_cross_entropy_with_integer_labels(const Tensor& logits, const Tensor& labels,
                                                 const Over& over);
/// Cross-entropy plus epsilon (1 - p of the label) (Leng et al. 2022).
Tensor poly_loss_cross_entropy(const Tensor& logits, const Tensor& labels, double epsilon = 2,
                               const Over& over = {});
struct FocalOptions {
  std::optional<double> alpha = {};  ///< weight of positive labels, 1 - alpha that of negative ones
  double gamma = 2;
};
/// Binary cross-entropy times (1 - p of the label)^gamma (Lin et al. 2017).
Tensor sigmoid_focal_loss(const Tensor& logits, const Tensor& labels,
                          const FocalOptions& options = {});

/// sum t (log t - log_p); 0 log 0 = 0 (J-143).
Tensor kl_divergence(const Tensor& log_predictions, const Tensor& targets, const Over& over = {});
/// sum t (log_t - log_p), t = exp(log_t).
Tensor kl_divergence_with_log_targets(const Tensor& log_predictions, const Tensor& log_targets,
                                      const Over& over = {});
/// The divergence of measures that need not sum to 1: plus sum(p - t).
Tensor generalized_kl_divergence(const Tensor& log_predictions, const Tensor& targets,
                                 const Over& over = {});
/// Mean of the divergences of both from their mean; probabilities that sum to 1, at most log 2.
Tensor js_divergence(const Tensor& log_predictions, const Tensor& targets, const Over& over = {});

struct TripletOptions {
  int64_t axis = -1;
  double norm_degree = 2, margin = 1, eps = 1e-6;
};
/// max(0, |anchor - positive| - |anchor - negative| + margin), |d| = (sum(d^n) + eps)^(1/n).
Tensor triplet_margin_loss(const Tensor& anchors, const Tensor& positives, const Tensor& negatives,
                           const TripletOptions& options = {});
/// Normalised, temperature-scaled cross-entropy of pairs of one label against pairs of different
/// ones (Chen et al. 2020): embeddings [batch, dim], integer labels [batch] -> [].
/// @throws ShapeError if these do not fit.
Tensor ntxent(const Tensor& embeddings, const Tensor& labels, double temperature = 0.07);

struct CtcOptions {
  int64_t blank = 0;
  double log_epsilon = -1e5;  ///< what counts as the logarithm of 0
};
/// Connectionist temporal classification (Graves et al. 2006): minus the log-probability of the
/// labels over all alignments (J-144). logits [batch, frames, classes], labels integer [batch, max
/// labels], paddings [batch, frames] and [batch, max labels]: 1 behind the end, 0 before ->
/// [batch].
/// @throws ShapeError if these do not fit.
Tensor ctc_loss(const Tensor& logits, const Tensor& logit_paddings, const Tensor& labels,
                const Tensor& label_paddings, const CtcOptions& options = {});

using linnet::cross_entropy;
using linnet::softmax_cross_entropy;
using linnet::softmax_cross_entropy_with_integer_labels;

}  // namespace linnet::loss

namespace linnet::optim {
using namespace loss;  // as in optax
}  // namespace linnet::optim

#pragma GCC visibility pop
