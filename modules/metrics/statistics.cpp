#include "linnet/detail/format.h"
#include "linnet/metrics_statistics.h"
#include "modules/metrics/counts.h"

namespace linnet::metrics {

Welford::Welford(std::string argname)
    : count(zero_count()), mean(zero_total()), m2(zero_total()), argname(std::move(argname)) {}

void Welford::update(const Tensor& values) {
  const Tensor x = astype(values, DType::kF32);
  const Tensor before = astype(count.value(), DType::kF32);
  const double added = static_cast<double>(values.size());
  const Tensor together = before + added, delta = linnet::mean(x) - mean.value();
  count.set_value(count.value() + scalar_integer(values.size(), DType::kI32));
  mean.set_value(mean.value() + delta * added / together);
  m2.set_value(m2.value() + var(x) * added + square(delta) * added * before / together);
}

void Welford::update(const Arguments& arguments, const Tensor& mask) {
  if (mask.defined()) fail<ValueError>("welford: there is no mask for '{}'", argname);
  update(argument(arguments, argname));
}

Statistics Welford::compute() const {
  const Tensor n = astype(count.value(), DType::kF32);
  const Tensor deviation = sqrt(m2.value() / n);
  return {mean.value(), deviation / sqrt(n), deviation};
}

void Welford::reset() {
  for (nnx::MetricState* state : {&count, &mean, &m2}) reset_to_zero(*state);
}

}  // namespace linnet::metrics
