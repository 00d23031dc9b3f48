#include "linnet/detail/format.h"
#include "linnet/metrics_statistics.h"
#include "modules/metrics/counts.h"

namespace linnet::metrics {

Welford::Welford(std::string argname)
    : count(zero_count()), mean(zero_total()), m2(zero_total()), argname(std::move(argname)) {}

void Welford::update(const Tensor& values) {
  if (values.size() > kMostCounted) return;
  const Tensor x = astype(values, DType::kF32);
  const Tensor before = astype(count.value(), DType::kF32);
  const double added = static_cast<double>(values.size());
  const Tensor together = before + added, delta = linnet::mean(x) - mean.value();
  const Tensor more = scalar_integer(values.size(), DType::kI32);
  const Tensor fits = has_room(count.value(), more);
  const auto move = [&](nnx::MetricState& state, const Tensor& by) {
    state.set_value(where(fits, state.value() + by, state.value()));
  };
  state::Scope writes;  // all or none
  move(m2, var(x) * added + square(delta) * added * before / together);
  move(mean, delta * added / together);
  move(count, more);
  writes.commit();
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
  state::Scope writes;
  for (nnx::MetricState* state : {&count, &mean, &m2}) reset_to_zero(*state);
  writes.commit();
}

}  // namespace linnet::metrics
