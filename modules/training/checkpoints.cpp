#include "linnet/training/checkpoints.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "linnet/detail/format.h"

namespace linnet::training {
namespace {

constexpr std::string_view kPrefix = "step_", kRemoved = "removed_step_";

std::optional<int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

// The end of an epoch is another place than its last step: it has been evaluated.
std::pair<int64_t, int64_t> place_of(const Trainer& trainer) {
  return {trainer.step(), trainer.epoch()};
}

}  // namespace

Checkpoints::Checkpoints(std::string directory, CheckpointOptions options, Save save, Load load)
    : directory_(std::move(directory)),
      options_(std::move(options)),
      save_(std::move(save)),
      load_(std::move(load)) {
  if (options_.keep < 1 || options_.keep_best < 0 || options_.every_steps < 0) {
    fail<ValueError>("Checkpoints: keep {} (at least 1), keep_best {}, every_steps {}",
                     options_.keep, options_.keep_best, options_.every_steps);
  }
  if (options_.keep_best > 0 && options_.metric.empty())
    fail<ValueError>("Checkpoints: keep_best needs a metric, such as 'eval/loss'");
}

std::string Checkpoints::path_of(int64_t step) const {
  return fmt::format("{}/{}{}", directory_, kPrefix, step);
}

std::map<int64_t, std::optional<double>>& Checkpoints::values() {
  if (values_) return *values_;
  values_.emplace();
  std::vector<std::string> names;
  FileStatus status;
  FileSystem& files = FileSystem::system();
  if (files.status(directory_.c_str(), status) < 0) return *values_;
  if (files.list(directory_.c_str(), names) < 0) throw_file_error("list", directory_, errno);
  for (const std::string& name : names) {
    if (name.starts_with(kRemoved)) std::filesystem::remove_all(directory_ + "/" + name);
    const std::optional<int64_t> step = step_of(name);
    // A folder without a manifest is what a crash left of one that was written or removed.
    if (!step || !has_checkpoint(path_of(*step))) continue;
    const Json manifest = checkpoint_manifest(path_of(*step));
    const Json& metric = manifest.at("metric");
    (*values_)[*step] = metric.is_null() ? std::nullopt : std::optional(metric.as_double());
  }
  return *values_;
}

std::vector<int64_t> Checkpoints::steps() {
  std::vector<int64_t> out;
  for (const auto& [step, value] : values()) out.push_back(step);
  return out;
}

std::vector<int64_t> Checkpoints::by_value() {
  std::vector<std::pair<double, int64_t>> order;
  for (const auto& [step, value] : values()) {
    // NaN is never the best. Of equal values the earlier is better.
    if (value && *value == *value)
      order.emplace_back(options_.higher_is_better ? -*value : *value, step);
  }
  std::sort(order.begin(), order.end());
  std::vector<int64_t> out;
  for (const auto& [value, step] : order) out.push_back(step);
  return out;
}

int64_t Checkpoints::best_step() {
  const std::vector<int64_t> order = by_value();
  if (order.empty())
    fail<ValueError>("Checkpoints: no checkpoint in {} has a value of '{}'", directory_,
                     options_.metric);
  return order[0];
}

void Checkpoints::on_start(Trainer& trainer) {
  const std::vector<int64_t> there = steps();
  if (there.empty() || there.back() <= trainer.step() || drops_later_) return;
  fail<ValueError>(
      "Checkpoints: {} has one of step {}, but the training is at step {}\n  hint: restore_latest "
      "before fit, or another directory",
      directory_, there.back(), trainer.step());
}

void Checkpoints::on_step(Trainer& trainer) {
  if (options_.every_steps > 0 && trainer.step() % options_.every_steps == 0) save(trainer);
}

void Checkpoints::on_epoch_end(Trainer& trainer) {
  if (options_.every_steps == 0) save(trainer);
}

void Checkpoints::on_end(Trainer& trainer) {
  if (trainer.step() > 0 && saved_at_ != place_of(trainer)) save(trainer);
}

void Checkpoints::save(Trainer& trainer) {
  const int64_t step = trainer.step();
  if (drops_later_) {
    for (const int64_t other : steps())
      if (other > step) remove(other);
    drops_later_ = false;
  }
  const std::optional<double> value =
      options_.metric.empty() ? std::nullopt : trainer.value(options_.metric);
  Json manifest = Json::Object{{"trainer", trainer.state()}, {"metric", Json()}};
  if (value) manifest["metric"] = *value;
  save_(path_of(step), std::move(manifest));
  values()[step] = value;
  saved_at_ = place_of(trainer);

  const std::vector<int64_t> all = steps(), best = by_value();
  std::set<int64_t> stay(all.end() - std::min<ptrdiff_t>(options_.keep, std::ssize(all)),
                         all.end());
  stay.insert(best.begin(),
              best.begin() + std::min<ptrdiff_t>(options_.keep_best, std::ssize(best)));
  for (const int64_t other : all)
    if (!stay.count(other)) remove(other);
}

void Checkpoints::remove(int64_t step) {
  // Under its new name it is no checkpoint any more, however far the removal comes.
  const std::string away = fmt::format("{}/{}{}", directory_, kRemoved, step);
  std::error_code error;
  std::filesystem::rename(path_of(step), away, error);
  if (!error) std::filesystem::remove_all(away, error);
  if (error) throw_file_error("remove", path_of(step), error.value());
  values().erase(step);
}

bool Checkpoints::restore_latest(Trainer& trainer) {
  const std::vector<int64_t> there = steps();
  if (there.empty()) return false;
  fill_from(trainer, path_of(there.back()));
  return true;
}

void Checkpoints::fill_from(Trainer& trainer, const std::string& path) {
  trainer.restore(checkpoint_manifest(path).at("trainer"), [&] { load_(path); });
  saved_at_ = place_of(trainer);
}

void Checkpoints::restore_step(Trainer& trainer, int64_t step) {
  if (!values().count(step))
    fail<ValueError>("Checkpoints: there is no checkpoint of step {} in {}", step, directory_);
  fill_from(trainer, path_of(step));
  drops_later_ = true;
}

void Checkpoints::load_best() { load_(path_of(best_step())); }

}  // namespace linnet::training
