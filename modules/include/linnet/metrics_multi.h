// metrics::MultiMetric: several metrics that are updated together.
//
//   metrics::MultiMetric all(std::pair{"accuracy", metrics::Accuracy()},
//                            std::pair{"loss", metrics::Average("loss")});
//   all.update({{"logits", logits}, {"labels", labels}, {"loss", loss}});
//   all.compute().at("loss")
#pragma once

#include <array>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "linnet/metrics_statistics.h"

#pragma GCC visibility push(default)

namespace linnet::metrics {

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
