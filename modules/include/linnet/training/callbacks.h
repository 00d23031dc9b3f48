// Callbacks of a Trainer that act on what is measured: early stopping, a learning rate that falls
// when nothing improves, and a function every so many steps.
//
//   trainer.add(training::EarlyStop("eval/loss", {.patience = 3}));
//   trainer.add(training::ReduceOnPlateau("eval/loss", optimizer, {.factor = 0.5, .patience = 2}));
//   trainer.add(training::Every(1000, [&](training::Trainer& t) { sample(model, t.step()); }));
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "linnet/early_stopping.h"
#include "linnet/optim.h"
#include "linnet/optim/wrappers.h"
#include "linnet/training/trainer.h"

#pragma GCC visibility push(default)

namespace linnet::training {

/// Follows one metric, such as `eval/loss` or `train/accuracy`.
class MetricCallback : public Callback {
 public:
  /// @throws ValueError if there is no such group, or no evaluation for `eval`.
  void on_start(Trainer& trainer) override;
  /// @throws ValueError if the group is measured without the metric.
  void on_record(Trainer& trainer, const Record& record) override;

 protected:
  explicit MetricCallback(std::string metric) : metric_(std::move(metric)) {}
  virtual void on_value(Trainer& trainer, double value) = 0;
  const std::string& metric() const { return metric_; }

 private:
  std::string metric_;
};

struct EarlyStopOptions {
  double min_delta = 0;  ///< an improvement is larger than this
  int64_t patience = 0;  ///< values without improvement that are borne
  bool higher_is_better = false;
};

/// Stops when a metric improves no more (linnet/early_stopping.h).
class EarlyStop : public MetricCallback {
 public:
  explicit EarlyStop(std::string metric, EarlyStopOptions options = {});
  std::string name() const override { return "EarlyStop(" + metric() + ")"; }
  Json state() const override;
  void restore(const Json& state) override;

 private:
  void on_value(Trainer& trainer, double value) override;
  bool higher_is_better_;
  EarlyStopping stopping_;
};

/// Multiplies a learning rate by `factor` when a metric that should fall does not, by the rule of
/// optim::reduce_on_plateau, but for values of records instead of steps.
class ReduceOnPlateau : public MetricCallback {
 public:
  /// @param multiply is given what the rate is to be multiplied by.
  ReduceOnPlateau(std::string metric, std::function<void(double factor)> multiply,
                  optim::PlateauOptions options = {});
  /// The rate of an optimizer with `inject_hyperparams` (linnet/training/learning_rate.h).
  ReduceOnPlateau(std::string metric, optim::Optimizer& optimizer,
                  optim::PlateauOptions options = {});
  std::string name() const override { return "ReduceOnPlateau(" + metric() + ")"; }
  /// By what the rate has been multiplied so far.
  double scale() const;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  void on_value(Trainer& trainer, double value) override;
  std::function<void(double)> multiply_;
  optim::GradientTransformation rule_;
  optim::TransformState state_;
};

/// Calls a function after every `steps`-th step.
class Every : public Callback {
 public:
  /// @throws ValueError unless `steps` is positive.
  Every(int64_t steps, std::function<void(Trainer&)> function);
  std::string name() const override { return "Every"; }
  void on_step(Trainer& trainer) override {
    if (trainer.step() % steps_ == 0) function_(trainer);
  }

 private:
  int64_t steps_;
  std::function<void(Trainer&)> function_;
};

}  // namespace linnet::training

#pragma GCC visibility pop
