#include "linnet/detail/format.h"
#include "linnet/metrics_classification.h"
#include "modules/metrics/counts.h"

namespace linnet::metrics {
namespace {

int64_t checked_count(const char* metric, const char* what, int64_t count) {
  if (count < 2) fail<ValueError>("{}: expected at least two {}, got {}", metric, what, count);
  return count;
}

Tensor zero_counts(const Shape& shape, DType dtype) {
  return zeros(shape, dtype).to(default_device());
}

/// One 1 in each row, or none for an index outside: [n, count].
Tensor rows_of(const Tensor& indices, int64_t count) {
  return one_hot(reshape(astype(indices, DType::kI32), {-1}), count);
}

/// [n, 1], ones without a mask.
Tensor weights_of(const Tensor& mask, const Shape& shape) {
  const Tensor all =
      mask.defined() ? astype(not_equal(broadcast_to(mask, shape), 0), DType::kF32) : ones(shape);
  return reshape(all, {-1, 1});
}

Tensor ratio(const Tensor& numerator, const Tensor& denominator) {
  const Tensor some = denominator > 0;
  return where(some, numerator / where(some, denominator, 1.0), 0.0);
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int64_t num_classes)
    : matrix(zero_counts({num_classes, checked_count("confusion matrix", "classes", num_classes)},
                         DType::kI32)),
      num_classes(num_classes) {}

void ConfusionMatrix::update(const Tensor& predictions, const Tensor& labels, const Tensor& mask) {
  require_labels("confusion matrix", labels);
  const bool are_logits = is_floating(predictions.dtype());
  if (are_logits) {
    require_classes("confusion matrix", predictions, labels);
  } else if (predictions.shape() != labels.shape()) {
    fail<ShapeError>("confusion matrix: predictions {} need labels of the same shape, got {}",
                     to_string(predictions.type()), to_string(labels.type()));
  }
  const Tensor classes = are_logits ? argmax(predictions, -1) : predictions;
  // Counts of a batch are exact in f32 up to 2^24.
  const Tensor counts =
      matmul(transpose(rows_of(labels, num_classes) * weights_of(mask, labels.shape())),
             rows_of(classes, num_classes));
  // A count that is full stays so.
  const Tensor before = matrix.value(), added = astype(round(counts), DType::kI32);
  matrix.set_value(
      where(has_room(before, added), before + added, scalar_integer(kMostCounted, DType::kI32)));
}

void ConfusionMatrix::reset() { reset_to_zero(matrix); }

ClassScore::ClassScore(int64_t num_classes, Averaging averaging)
    : ConfusionMatrix(num_classes), averaging(averaging) {
  if (averaging == Averaging::kBinary && num_classes != 2) {
    fail<ValueError>("metrics: the binary average is one of two classes, got {}", num_classes);
  }
}

Tensor ClassScore::hits() const {
  return astype(sum(matrix.value() * eye(num_classes, num_classes, 0, DType::kI32), Axes{0}),
                DType::kF32);
}
// Sums of counts may not fit 32 bits.
Tensor ClassScore::predicted() const {
  return astype(sum(astype(matrix.value(), DType::kI64), Axes{0}), DType::kF32);
}
Tensor ClassScore::present() const {
  return astype(sum(astype(matrix.value(), DType::kI64), Axes{1}), DType::kF32);
}

Tensor ClassScore::averaged(const Tensor& numerator, const Tensor& denominator) const {
  const Tensor by_class = ratio(numerator, denominator);
  switch (averaging) {
    case Averaging::kNone:
      return by_class;
    case Averaging::kMicro:
      return ratio(sum(numerator), sum(denominator));
    case Averaging::kMacro:
      return mean(by_class);
    case Averaging::kWeighted:
      return ratio(sum(by_class * present()), sum(present()));
    case Averaging::kBinary:
      break;
  }
  return by_class[1];
}

Tensor Precision::compute() const { return averaged(hits(), predicted()); }
Tensor Recall::compute() const { return averaged(hits(), present()); }
Tensor F1::compute() const { return averaged(2 * hits(), predicted() + present()); }

AUC::AUC(int64_t bins)
    : positives(zero_counts({checked_count("auc", "bins", bins)}, DType::kF32)),
      negatives(zero_counts({bins}, DType::kF32)),
      bins(bins) {}

void AUC::update(const Tensor& scores, const Tensor& labels, const Tensor& mask) {
  require_labels("auc", labels);
  if (scores.shape() != labels.shape()) {
    fail<ShapeError>("auc: scores {} need labels of the same shape, got {}",
                     to_string(scores.type()), to_string(labels.type()));
  }
  const double count = static_cast<double>(bins);
  const Tensor part = clip(floor(astype(scores, DType::kF32) * count), 0.0, count - 1);
  const Tensor rows = rows_of(part, bins) * weights_of(mask, labels.shape());
  const Tensor is_positive = reshape(astype(labels > 0, DType::kF32), {-1, 1});
  state::Scope writes;  // both or none
  positives.set_value(positives.value() + sum(rows * is_positive, Axes{0}));
  negatives.set_value(negatives.value() + sum(rows * (1 - is_positive), Axes{0}));
  writes.commit();
}

Tensor AUC::compute() const {
  // A positive example is right of all negative ones in lower parts, and half so of those in its
  // own.
  const Tensor n = negatives.value(), p = positives.value();
  const Tensor below = cumsum(n, 0) - n;
  return sum(p * (below + n / 2)) / (sum(p) * sum(n));
}

void AUC::reset() {
  state::Scope writes;
  reset_to_zero(positives);
  reset_to_zero(negatives);
  writes.commit();
}

}  // namespace linnet::metrics
