#include "linnet/metrics.h"

#include "linnet/detail/format.h"
#include "modules/metrics/counts.h"

namespace linnet::metrics {

const Tensor& argument(const Arguments& arguments, const std::string& name) {
  const auto found = arguments.find(name);
  if (found != arguments.end()) return found->second;
  std::string known;
  for (const auto& [other, value] : arguments) known += (known.empty() ? "'" : ", '") + other + "'";
  fail<ValueError>("metric: expected an argument '{}', got {}", name,
                   known.empty() ? "none" : known);
}

Average::Average(std::string argname)
    : total(zero_total()), count(zero_count()), argname(std::move(argname)) {}

void Average::update(const Tensor& values, const Tensor& mask) {
  if (mask.defined() && values.weak()) {
    fail<ValueError>("average: a mask needs '{}' to be an array, got a number", argname);
  }
  if (!mask.defined() && values.size() > kMostCounted) return;
  Tensor x = astype(values, DType::kF32), added = scalar_integer(values.size(), DType::kI32);
  if (mask.defined()) {
    const Tensor counts = broadcast_to(mask, x.shape());
    x = x * astype(counts, DType::kF32);
    added = astype(sum(astype(counts, DType::kI32)), DType::kI32);
  }
  const Tensor counted = count.value(), all = total.value();
  const Tensor fits = has_room(counted, added);
  state::Scope writes;  // both or none
  total.set_value(where(fits, all + sum(x), all));
  count.set_value(where(fits, counted + added, counted));
  writes.commit();
}

Tensor Average::compute() const { return total.value() / astype(count.value(), DType::kF32); }

void Average::reset() {
  state::Scope writes;
  reset_to_zero(total);
  reset_to_zero(count);
  writes.commit();
}

void Accuracy::update(const Tensor& logits, const Tensor& labels, const Tensor& mask) {
  require_labels("accuracy", labels);
  if (threshold) {
    if (logits.shape() != labels.shape()) {
      fail<ShapeError>(
          "accuracy: with a threshold, logits {} need labels of the same shape, got {}",
          to_string(logits.type()), to_string(labels.type()));
    }
    Average::update(equal(logits >= *threshold, labels > 0), mask);
    return;
  }
  require_classes("accuracy", logits, labels);
  Average::update(equal(argmax(logits, -1), astype(labels, DType::kI32)), mask);
}

}  // namespace linnet::metrics
