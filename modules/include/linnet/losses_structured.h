// Losses of segmentations, rankings and sparse distributions, as in optax. Per example, like those
// of losses.h (J-145).
//
//   Tensor loss = mean(loss::dice_loss(logits, masks));        // [batch, ..., classes]
//   Tensor p = loss::sparsemax(scores);                        // sums to 1, with exact zeros
//
// The umbrella header does not include this one.
#pragma once

#include <optional>

#include "linnet/losses.h"

#pragma GCC visibility push(default)

namespace linnet::loss {

struct DiceOptions {
  Tensor class_weights = {};  ///< [classes]
  double smooth = 1;
  double alpha = 0.5, beta = 0.5;  ///< weights of false positives and false negatives
  /// Predictions are logits: of several classes by softmax, of one by sigmoid.
  bool apply_softmax = true;
  bool ignore_background = false;  ///< leaves out class 0
  std::optional<Axes> axes = {};   ///< summed over; by default all but the first and last
  bool per_class = false;          ///< [batch, classes] in place of the mean over classes
};
/// 1 - (i + smooth) / (i + alpha (p - i) + beta (t - i) + smooth), where i = sum(p t): predictions
/// and targets [batch, ..., classes] -> [batch] (Tversky 1977; Sudre et al. 2017). Of one of them
/// the classes may be missing, if there is one.
/// @throws ShapeError if these do not fit.
Tensor dice_loss(const Tensor& predictions, const Tensor& targets, const DiceOptions& options = {});
/// With weights 1 / (size of the class)² that sum to the number of classes: the mean over all.
Tensor multiclass_generalized_dice_loss(const Tensor& predictions, const Tensor& targets,
                                        const DiceOptions& options = {});
/// Of one class without an axis of its own: [batch, ...] -> [batch].
Tensor binary_dice_loss(const Tensor& predictions, const Tensor& targets,
                        const DiceOptions& options = {});

/// The nearest point of the probability simplex, along the last axis (Martins and Astudillo 2016).
Tensor sparsemax(const Tensor& scores);
/// sparse_plus of -logit for labels that are not 0, of the logit else; elementwise.
Tensor sparsemax_loss(const Tensor& logits, const Tensor& labels);
/// What sparsemax makes 0 if it gives the label alone: scores [..., classes], integer labels [...].
Tensor multiclass_sparsemax_loss(const Tensor& scores, const Tensor& labels);

struct RankingOptions {
  Tensor where = {};    ///< bool, of the shape of the scores: the items of each list
  Tensor weights = {};  ///< of the items
};
/// -sum(w y log_softmax(x)) over each list: scores x and relevances y [..., items] -> [...]; 0 for
/// lists without items (Cao et al. 2007).
Tensor ranking_softmax_loss(const Tensor& scores, const Tensor& relevances,
                            const RankingOptions& options = {});
/// -sum(labels log_softmax(logits)), where a label of 0 counts nothing even at a logit of -inf.
Tensor safe_softmax_cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace linnet::loss

#pragma GCC visibility pop
