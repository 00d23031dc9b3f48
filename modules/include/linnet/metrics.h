// Running metrics as object state: usable inside jitted steps as `T&`.
//
//   metrics::Accuracy accuracy;
//   accuracy.update(logits, labels);
//   double value = accuracy.compute().item<double>();
//
//   metrics::MultiMetric all(std::pair{"accuracy", metrics::Accuracy()},
//                            std::pair{"loss", metrics::Average("loss")});
//   all.update({{"logits", logits}, {"labels", labels}, {"loss", loss}});
//   all.compute().at("loss")
//
// Precision, recall, F1, areas under curves and confusion matrices are in
// linnet/metrics_classification.h.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "linnet/nnx/variable.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::metrics {

/// What a step measures, by name. Each metric takes the names it knows.
using Arguments = std::map<std::string, Tensor>;
/// The argument of that name. @throws ValueError listing the names that there are.
const Tensor& argument(const Arguments& arguments, const std::string& name);

/// Mean of all values since the last reset; NaN before the first.
class Average {
 public:
  /// @param argname what `update` looks for among arguments.
  explicit Average(std::string argname = "values");
  /// @param mask of the values' shape or broadcast to it: those where it is 0 do not count.
  /// @throws ValueError for a mask with a plain number.
  void update(const Tensor& values, const Tensor& mask = {});
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    update(argument(arguments, argname), mask);
  }
  /// f32[].
  Tensor compute() const;
  void reset();

  nnx::MetricState total, count;
  std::string argname;

  LINNET_FIELDS(total, count, argname)
};

/// Share of examples whose largest logit is the label's: logits f[..., classes], labels integer
/// [...]. With a threshold: of binary ones, logits f[...], whose logit is at least the threshold
/// just where the label is positive.
class Accuracy : public Average {
 public:
  explicit Accuracy(std::optional<double> threshold = {}) : threshold(threshold) {}
  /// @throws ShapeError if the shapes do not fit, DTypeError unless labels are integers.
  void update(const Tensor& logits, const Tensor& labels, const Tensor& mask = {});
  /// Of `logits` and `labels`.
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    update(argument(arguments, "logits"), argument(arguments, "labels"), mask);
  }

  std::optional<double> threshold;

  LINNET_FIELDS_AND_BASE(Average, threshold)
};

struct Statistics {
  Tensor mean;
  Tensor standard_error_of_mean;  ///< standard deviation / sqrt(count)
  Tensor standard_deviation;      ///< of the population
};

/// Mean and variance of a stream, batch by batch (Welford 1962, Chan et al. 1979): the mean moves
/// by δ n / N, and the sum of squared deviations grows by that of the batch and δ² n M / N, with δ
/// the difference of means and M values before, n in the batch, N together.
class Welford {
 public:
  explicit Welford(std::string argname = "values");
  void update(const Tensor& values);
  /// @throws ValueError for a mask, which it does not take.
  void update(const Arguments& arguments, const Tensor& mask = {});
  /// f32[] each; before the first value a mean of 0 and NaN.
  Statistics compute() const;
  void reset();

  nnx::MetricState count, mean, m2;
  std::string argname;

  LINNET_FIELDS(count, mean, m2, argname)
};

/// Several metrics that are updated together (N-145); every one gets all arguments.
template <class... M>
class MultiMetric {
 public:
  explicit MultiMetric(std::pair<const char*, M>... metrics)
      : names_{metrics.first...}, metrics_(std::move(metrics.second)...) {}

  /// @param mask for all of them.
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    each([&](const std::string&, auto& metric) { metric.update(arguments, mask); });
  }
  /// A mask for each of the metrics named.
  void update(const Arguments& arguments, const std::map<std::string, Tensor>& masks) {
    each([&](const std::string& name, auto& metric) {
      const auto found = masks.find(name);
      metric.update(arguments, found == masks.end() ? Tensor() : found->second);
    });
  }
  void reset() {
    each([](const std::string&, auto& metric) { metric.reset(); });
  }
  /// By name; the parts of Statistics as `name/mean` and so on.
  std::map<std::string, Tensor> compute() const {
    std::map<std::string, Tensor> out;
    const_cast<MultiMetric&>(*this).each(
        [&](const std::string& name, auto& metric) { add(out, name, metric.compute()); });
    return out;
  }
  /// The metric at a position.
  template <size_t I>
  auto& get() {
    return std::get<I>(metrics_);
  }
  void visit(tree::Visitor& visitor) {
    visitor.enter(typeid(MultiMetric), sizeof...(M));
    each([&](const std::string& name, auto& metric) {
      visitor.child(std::string_view(name));
      tree::visit(metric, visitor);
    });
    visitor.leave();
  }

 private:
  static void add(std::map<std::string, Tensor>& out, const std::string& name, Tensor value) {
    out[name] = std::move(value);
  }
  static void add(std::map<std::string, Tensor>& out, const std::string& name,
                  const Statistics& value) {
    out[name + "/mean"] = value.mean;
    out[name + "/standard_error_of_mean"] = value.standard_error_of_mean;
    out[name + "/standard_deviation"] = value.standard_deviation;
  }
  template <class F>
  void each(F&& f) {
    size_t i = 0;
    std::apply([&](auto&... metric) { (f(names_[i++], metric), ...); }, metrics_);
  }
  std::array<std::string, sizeof...(M)> names_;
  std::tuple<M...> metrics_;
};

}  // namespace linnet::metrics

namespace linnet::tree {
template <class... M>
struct Traits<metrics::MultiMetric<M...>> {
  static void visit(metrics::MultiMetric<M...>& metrics, Visitor& visitor) {
    metrics.visit(visitor);
  }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
