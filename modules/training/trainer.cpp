#include "linnet/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "linnet/detail/format.h"

namespace linnet::training {
namespace {

// So many steps may be on a device unread: reading waits for it.
constexpr size_t kUnreadLimit = 64;

double value_of(const std::string& name, const Tensor& value) {
  if (!value.defined() || value.size() != 1) {
    fail<ShapeError>("Trainer: metric '{}': expected a scalar, got {}\n  hint: give its mean", name,
                     type_of(value));
  }
  return value.item<double>();
}

template <class List>
auto find_named(List& list, std::string_view name) {
  return std::find_if(list.begin(), list.end(), [&](const auto& e) { return e.first == name; });
}

std::optional<double> value_in(const std::vector<std::pair<std::string, double>>& values,
                               std::string_view name) {
  const auto found = find_named(values, name);
  return found == values.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

std::optional<double> Record::value(std::string_view name) const { return value_in(values, name); }
std::optional<double> Trainer::value(std::string_view name) const {
  return value_in(latest_, name);
}

namespace detail {

NextStep passed_over(NextStep next, int64_t batches) {
  for (int64_t i = 0; i < batches; ++i) {
    if (next(nullptr)) continue;
    fail<ValueError>(
        "Trainer: {} batches of the epoch were done before, but it has {} only\n  hint: resume "
        "with the batches of the first run",
        batches, i);
  }
  return next;
}

}  // namespace detail

Trainer::Trainer(TrainerOptions options) : options_(std::move(options)) {
  if (options_.epochs < 0 || options_.steps < 0 || options_.log_every < 0 ||
      options_.evaluate_every < 0) {
    fail<ValueError>(
        "Trainer: epochs {}, steps {}, log_every {}, evaluate_every {}: none may be negative",
        options_.epochs, options_.steps, options_.log_every, options_.evaluate_every);
  }
}

void Trainer::request_stop(std::string reason) {
  if (stop_reason_.empty()) stop_reason_ = reason.empty() ? "requested" : std::move(reason);
}

bool Trainer::complete() const {
  return epoch_ >= options_.epochs || (options_.steps > 0 && step_ >= options_.steps);
}

bool Trainer::run(const detail::Epochs& epochs) {
  stop_reason_.clear();
  for (const auto& callback : callbacks_) callback->on_start(*this);
  while (!complete() && stop_reason_.empty()) run_epoch(epochs);
  // The limit of steps may have come within an epoch: its last steps are measured as well.
  if (complete()) {
    log();
    if (evaluated_at_ != step_) evaluate();
  }
  for (const auto& callback : callbacks_) callback->on_end(*this);
  return complete();
}

void Trainer::run_epoch(const detail::Epochs& epochs) {
  for (const auto& callback : callbacks_) callback->on_epoch_start(*this);
  const detail::NextStep next = epochs(epoch_, batch_);
  for (Metrics metrics; next(&metrics);) {
    ++step_;
    ++batch_;
    unread_.push_back(std::move(metrics));
    metrics.clear();
    after_step();
    if (!stop_reason_.empty() || (options_.steps > 0 && step_ >= options_.steps)) return;
  }
  if (batch_ == 0)
    fail<ValueError>("Trainer: epoch {} has no batches\n  hint: a stream that is used up?", epoch_);
  end_epoch();
}

void Trainer::after_step() {
  if (options_.log_every > 0 && step_ % options_.log_every == 0)
    log();
  else if (unread_.size() >= kUnreadLimit)
    gather();
  if (options_.evaluate_every > 0 && step_ % options_.evaluate_every == 0) evaluate();
  for (const auto& callback : callbacks_) callback->on_step(*this);
  if (options_.stop_when && options_.stop_when()) request_stop("asked from outside");
}

void Trainer::end_epoch() {
  log();
  if (options_.evaluate_every == 0) evaluate();
  ++epoch_;
  batch_ = 0;
  for (const auto& callback : callbacks_) callback->on_epoch_end(*this);
}

void Trainer::gather() {
  for (const Metrics& metrics : unread_) {
    for (const auto& [name, value] : metrics) {
      const double number = value_of(name, value);
      auto found = std::find_if(sums_.begin(), sums_.end(),
                                [&, &key = name](const Sum& s) { return s.name == key; });
      if (found == sums_.end()) found = sums_.insert(found, Sum{name});
      found->sum += number;
      ++found->count;
    }
  }
  unread_.clear();
  if (!options_.require_finite) return;
  for (const Sum& sum : sums_) {
    if (std::isfinite(sum.sum)) continue;
    fail<ValueError>("Trainer: '{}' is {} within the steps up to {}\n  hint: a lower learning rate",
                     sum.name, sum.sum, step_);
  }
}

void Trainer::log() {
  gather();
  if (sums_.empty()) return;
  Record record{.group = "train", .step = step_, .epoch = epoch_};
  for (const Sum& sum : sums_)
    record.values.emplace_back(sum.name, sum.sum / static_cast<double>(sum.count));
  sums_.clear();
  publish(std::move(record));
}

void Trainer::evaluate() {
  if (!evaluation_) return;
  evaluated_at_ = step_;
  Record record{.group = "eval", .step = step_, .epoch = epoch_};
  for (const auto& [name, value] : evaluation_())
    record.values.emplace_back(name, value_of(name, value));
  publish(std::move(record));
}

void Trainer::publish(Record record) {
  for (const auto& [name, value] : record.values) {
    const std::string key = record.group + "/" + name;
    const auto found = find_named(latest_, key);
    if (found == latest_.end())
      latest_.emplace_back(key, value);
    else
      found->second = value;
  }
  for (const auto& callback : callbacks_) callback->on_record(*this, record);
}

Json Trainer::state() {
  gather();
  Json out = Json::Object{
      {"step", step_}, {"epoch", epoch_}, {"batch", batch_}, {"evaluated_at", evaluated_at_}};
  out["sums"] = Json::array();
  for (const Sum& s : sums_)
    out["sums"].push_back(Json::Object{{"name", s.name}, {"sum", s.sum}, {"count", s.count}});
  out["latest"] = Json::array();
  for (const auto& [name, value] : latest_)
    out["latest"].push_back(Json::Object{{"name", name}, {"value", value}});
  out["callbacks"] = Json::array();
  for (const auto& callback : callbacks_) {
    out["callbacks"].push_back(
        Json::Object{{"name", callback->name()}, {"state", callback->state()}});
  }
  return out;
}

void Trainer::restore(const Json& state, const std::function<void()>& load) {
  const int64_t step = state.at("step").as_integer(), epoch = state.at("epoch").as_integer(),
                batch = state.at("batch").as_integer(),
                evaluated_at = state.at("evaluated_at").as_integer();
  std::vector<Sum> sums;
  for (const Json& s : state.at("sums").as_array()) {
    sums.push_back({s.at("name").as_string(), s.at("sum").as_double(), s.at("count").as_integer()});
  }
  std::vector<std::pair<std::string, double>> latest;
  for (const Json& v : state.at("latest").as_array())
    latest.emplace_back(v.at("name").as_string(), v.at("value").as_double());
  restore_callbacks(state, load);
  step_ = step;
  epoch_ = epoch;
  batch_ = batch;
  evaluated_at_ = evaluated_at;
  unread_.clear();
  sums_ = std::move(sums);
  latest_ = std::move(latest);
}

void Trainer::restore_callbacks(const Json& state, const std::function<void()>& load) {
  std::map<std::string, std::vector<const Json*>> saved;
  for (const Json& c : state.at("callbacks").as_array())
    saved[c.at("name").as_string()].push_back(&c.at("state"));
  std::map<std::string, size_t> used;
  std::vector<std::pair<Callback*, Json>> before;
  before.reserve(callbacks_.size());
  try {
    for (const auto& callback : callbacks_) {
      const std::vector<const Json*>& states = saved[callback->name()];
      const size_t at = used[callback->name()]++;
      if (at >= states.size() || states[at]->is_null()) continue;
      before.emplace_back(callback.get(), callback->state());
      callback->restore(*states[at]);
    }
    if (load) load();
  } catch (...) {
    for (const auto& [callback, own] : before) {
      if (!own.is_null()) callback->restore(own);
    }
    throw;
  }
}

}  // namespace linnet::training
