// Running metrics of classifiers: confusion matrices, precision, recall, F1, and areas under
// curves, with the definitions of scikit-learn.
//
//   metrics::ConfusionMatrix matrix(10);
//   matrix.update(logits, labels);                    // f32[n, 10], i32[n]
//   matrix.compute();                                 // i32[10, 10]: rows are labels
//   metrics::F1 f1(10, metrics::Averaging::kMacro);
//   metrics::AUC auc;                                 // of scores from 0 to 1 and labels 0, 1
#pragma once

#include <string>

#include "linnet/metrics.h"

#pragma GCC visibility push(default)

namespace linnet::metrics {

/// How the numbers of classes become one.
enum class Averaging : uint8_t {
  kNone,      ///< not: one number per class
  kMicro,     ///< of the counts of all classes together
  kMacro,     ///< their mean
  kWeighted,  ///< their mean, weighted by the examples of each class
  kBinary,    ///< that of class 1, of two classes
};

/// How many examples of each class were taken for which: [label, prediction] (i32).
class ConfusionMatrix {
 public:
  /// @throws ValueError for fewer than two classes.
  explicit ConfusionMatrix(int64_t num_classes);
  /// @param predictions logits f[..., classes], whose largest is the prediction, or classes as
  /// integers [...].
  /// @param mask of the labels' shape or broadcast to it: examples where it is 0 do not count.
  /// @throws ShapeError, DTypeError. Labels and predictions that are no class do not count.
  void update(const Tensor& predictions, const Tensor& labels, const Tensor& mask = {});
  /// Of `logits` and `labels`.
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    update(argument(arguments, "logits"), argument(arguments, "labels"), mask);
  }
  Tensor compute() const { return matrix.value(); }
  void reset();

  nnx::MetricState matrix;
  int64_t num_classes;

  LINNET_FIELDS(matrix, num_classes)
};

/// What Precision, Recall and F1 share: a confusion matrix and how classes are averaged.
class ClassScore : public ConfusionMatrix {
 public:
  /// @throws ValueError for kBinary and another number of classes than two.
  ClassScore(int64_t num_classes, Averaging averaging);

  Averaging averaging;

  LINNET_FIELDS_AND_BASE(ConfusionMatrix, averaging)

 protected:
  /// Numerators and denominators of each class, f32[classes], as one number or one per class; 0 / 0
  /// is 0.
  Tensor averaged(const Tensor& numerator, const Tensor& denominator) const;
  Tensor hits() const;       ///< of each class: label and prediction
  Tensor predicted() const;  ///< how often it was predicted
  Tensor present() const;    ///< how often it was the label
};

/// Of what was taken for a class, the share that is of it: hits / predicted.
class Precision : public ClassScore {
 public:
  explicit Precision(int64_t num_classes = 2, Averaging averaging = Averaging::kMacro)
      : ClassScore(num_classes, averaging) {}
  /// f32[], or f32[classes] for kNone.
  Tensor compute() const;
};

/// Of a class, the share that was taken for it: hits / present.
class Recall : public ClassScore {
 public:
  explicit Recall(int64_t num_classes = 2, Averaging averaging = Averaging::kMacro)
      : ClassScore(num_classes, averaging) {}
  Tensor compute() const;
};

/// The harmonic mean of both: 2 hits / (predicted + present).
class F1 : public ClassScore {
 public:
  explicit F1(int64_t num_classes = 2, Averaging averaging = Averaging::kMacro)
      : ClassScore(num_classes, averaging) {}
  Tensor compute() const;
};

/// Area under the curve of true against false positives (ROC): the probability that a positive
/// example has a higher score than a negative one, ties counting half. Scores are sorted into
/// `bins` equal parts of [0, 1]; those of one part count as ties, so that the error is at most half
/// the share of pairs that fall into one part.
class AUC {
 public:
  /// @throws ValueError for fewer than two bins.
  explicit AUC(int64_t bins = 1024);
  /// @param scores f[...]; those outside [0, 1] count as its ends.
  /// @param labels integer [...], positive or not.
  /// @throws ShapeError, DTypeError.
  void update(const Tensor& scores, const Tensor& labels, const Tensor& mask = {});
  /// Of `scores` and `labels`.
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    update(argument(arguments, "scores"), argument(arguments, "labels"), mask);
  }
  /// f32[]; NaN unless there are examples of both sorts.
  Tensor compute() const;
  void reset();

  nnx::MetricState positives, negatives;  ///< f32[bins]
  int64_t bins;

  LINNET_FIELDS(positives, negatives, bins)
};

}  // namespace linnet::metrics

#pragma GCC visibility pop
