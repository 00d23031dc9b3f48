#include "linnet/metrics.h"

#include "linnet/detail/format.h"

namespace linnet::metrics {

namespace {

// Beside what is measured, so that a step fetches nothing from another device.
Tensor zero_total() { return scalar(0, DType::kF32).to(default_device()); }
Tensor zero_count() { return scalar_integer(0, DType::kI32).to(default_device()); }

}  // namespace

Average::Average() : total(zero_total()), count(zero_count()) {}

void Average::update(const Tensor& values) {
  total.set_value(total.value() + sum(astype(values, DType::kF32)));
  count.set_value(count.value() + scalar_integer(values.size(), DType::kI32));
}

Tensor Average::compute() const { return total.value() / astype(count.value(), DType::kF32); }

void Average::reset() {
  total.set_value(zero_total().to(total.value().device()));
  count.set_value(zero_count().to(count.value().device()));
}

void Accuracy::update(const Tensor& logits, const Tensor& labels) {
  Shape batch = logits.shape();
  if (!batch.empty()) batch.pop_back();
  if (logits.rank() == 0 || batch != labels.shape()) {
    fail<ShapeError>("accuracy: logits {} need labels of shape {}, got {}",
                     to_string(logits.type()), to_string(batch), to_string(labels.type()));
  }
  Average::update(equal(argmax(logits, -1), astype(labels, DType::kI32)));
}

}  // namespace linnet::metrics
