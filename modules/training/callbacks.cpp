#include "linnet/training/callbacks.h"

#include "linnet/detail/format.h"
#include "linnet/training/learning_rate.h"

namespace linnet::training {
namespace {

std::string group_of(const std::string& metric) { return metric.substr(0, metric.find('/')); }
std::string name_in_group(const std::string& metric) {
  const size_t slash = metric.find('/');
  return slash == std::string::npos ? "" : metric.substr(slash + 1);
}

// The numbers that the rule of a plateau remembers, all zero-dimensional.
constexpr const char* kCounts[] = {"plateau_count", "cooldown_count", "value_count"};
constexpr const char* kNumbers[] = {"best_value", "mean_value", "scale"};

}  // namespace

void MetricCallback::on_start(Trainer& trainer) {
  const std::string group = group_of(metric_);
  if (name_in_group(metric_).empty() || (group != "train" && group != "eval")) {
    fail<ValueError>("{}: expected a metric as 'train/NAME' or 'eval/NAME', got '{}'", name(),
                     metric_);
  }
  if (group == "eval" && !trainer.has_evaluation())
    fail<ValueError>("{}: the trainer has no evaluation\n  hint: set_evaluation", name());
}

void MetricCallback::on_record(Trainer& trainer, const Record& record) {
  if (record.group != group_of(metric_)) return;
  if (const std::optional<double> value = record.value(name_in_group(metric_))) {
    on_value(trainer, *value);
    return;
  }
  std::string names;
  for (const auto& [other, value] : record.values)
    names += fmt::format("{}{}/{}", names.empty() ? "" : ", ", record.group, other);
  fail<ValueError>("{}: there is no metric '{}', only {}", name(), metric_,
                   names.empty() ? "none" : names);
}

EarlyStop::EarlyStop(std::string metric, EarlyStopOptions options)
    : MetricCallback(std::move(metric)),
      higher_is_better_(options.higher_is_better),
      stopping_{.min_delta = options.min_delta, .patience = options.patience} {}

void EarlyStop::on_value(Trainer& trainer, double value) {
  stopping_.update(higher_is_better_ ? -value : value);
  if (stopping_.should_stop) {
    trainer.request_stop(
        fmt::format("{} has not improved {} times", metric(), stopping_.patience_count));
  }
}

Json EarlyStop::state() const {
  return Json::Object{{"best_metric", stopping_.best_metric},
                      {"patience_count", stopping_.patience_count},
                      {"should_stop", stopping_.should_stop}};
}

void EarlyStop::restore(const Json& state) {
  stopping_.best_metric = state.at("best_metric").as_double();
  stopping_.patience_count = state.at("patience_count").as_integer();
  stopping_.should_stop = state.at("should_stop").as_bool();
}

ReduceOnPlateau::ReduceOnPlateau(std::string metric, std::function<void(double)> multiply,
                                 optim::PlateauOptions options)
    : MetricCallback(std::move(metric)),
      multiply_(std::move(multiply)),
      rule_(optim::reduce_on_plateau(options)),
      state_(rule_.init(TensorList{})) {}

ReduceOnPlateau::ReduceOnPlateau(std::string metric, optim::Optimizer& optimizer,
                                 optim::PlateauOptions options)
    : ReduceOnPlateau(
          std::move(metric),
          [&optimizer](double factor) {
            set_learning_rate(optimizer, factor * learning_rate(optimizer));
          },
          options) {}

double ReduceOnPlateau::scale() const { return state_.lists.at("scale").at(0).item<double>(); }

void ReduceOnPlateau::on_value(Trainer&, double value) {
  const double before = scale();
  const Tensor measured =
      astype(Tensor(value), DType::kF32).to(state_.lists.at("scale").at(0).device());
  state_ = rule_.update(TensorList{}, state_, TensorList{}, {.value = measured}).second;
  if (scale() != before) multiply_(scale() / before);
}

Json ReduceOnPlateau::state() const {
  Json out = Json::object();
  for (const char* name : kCounts) out[name] = state_.lists.at(name).at(0).item<int64_t>();
  for (const char* name : kNumbers) out[name] = state_.lists.at(name).at(0).item<double>();
  return out;
}

void ReduceOnPlateau::restore(const Json& state) {
  const auto set = [&](const char* name, const Tensor& value) {
    Tensor& kept = state_.lists.at(name).at(0);
    kept = astype(value, kept.dtype()).to(kept.device());
  };
  for (const char* name : kCounts) set(name, Tensor(state.at(name).as_integer()));
  for (const char* name : kNumbers) set(name, Tensor(state.at(name).as_double()));
}

Every::Every(int64_t steps, std::function<void(Trainer&)> function)
    : steps_(steps), function_(std::move(function)) {
  if (steps < 1) fail<ValueError>("Every: expected a positive number of steps, got {}", steps);
}

}  // namespace linnet::training
