#include "examples/fashion_mnist/progress.h"

#include <cmath>
#include <string>

namespace demo {
namespace {

using linnet::Json;

Json settings(const Options& options, const Dataset& data) {
  Json out = Json::object();
  out["api"] = name_of(options.api);
  out["seed"] = options.seed;
  out["batch_size"] = options.batch_size;
  out["epochs"] = options.epochs;
  out["learning_rate"] = options.learning_rate;
  out["data"] = data.fingerprint();
  return out;
}

Json to_json(const EpochRecord& r) {
  return Json::Object{{"train_loss", r.train_loss},
                      {"train_accuracy", r.train_accuracy},
                      {"test_loss", r.test_loss},
                      {"test_accuracy", r.test_accuracy},
                      {"seconds", r.seconds}};
}

void require(bool holds, const std::string& what) {
  if (!holds) throw UsageError("--resume: the checkpoint's " + what);
}

void require_within(const char* name, int64_t value, int64_t last) {
  require(value >= 0 && value <= last, std::string(name) + " is " + std::to_string(value) +
                                           ", expected 0 to " + std::to_string(last));
}

double finite(const Json& object, const char* name) {
  const double value = object.at(name).as_double();
  require(std::isfinite(value) && value >= 0,
          std::string(name) + " is " + object.at(name).to_text(0));
  return value;
}

EpochRecord record_from(const Json& row) {
  return {finite(row, "train_loss"), finite(row, "train_accuracy"), finite(row, "test_loss"),
          finite(row, "test_accuracy"), finite(row, "seconds")};
}

void require_same_settings(const Json& manifest, const Json& wanted) {
  for (const auto& [name, value] : wanted.as_object()) {
    const Json& saved = manifest.at(name);
    if (saved == value) continue;
    throw UsageError("--resume: the checkpoint was made with " + name + " " + saved.to_text(0) +
                     ", not " + value.to_text(0));
  }
}

/// Whether a run with these settings could have saved `p`.
void check(const Progress& p, const Options& options, int64_t batches) {
  require_within("epoch", p.epoch, options.epochs);
  require_within("batch", p.batch, p.epoch == options.epochs ? 0 : batches - 1);
  require_within("correct", p.correct, p.batch * options.batch_size);
  if (p.batch == 0) {
    // Seconds may have passed: an interruption can come before the first batch.
    require(p.loss_sum == 0, "loss_sum is not 0 although no batch of the epoch is done");
  }
  const auto epochs = static_cast<int64_t>(p.history.size());
  require(epochs == p.epoch,
          "history has " + std::to_string(epochs) + " epochs, expected " + std::to_string(p.epoch));
}

}  // namespace

Json to_manifest(const Options& options, const Dataset& data, const Progress& progress) {
  Json manifest = settings(options, data);
  manifest["epoch"] = progress.epoch;
  manifest["batch"] = progress.batch;
  manifest["loss_sum"] = progress.loss_sum;
  manifest["correct"] = progress.correct;
  manifest["seconds"] = progress.seconds;
  manifest["history"] = Json::array();
  for (const EpochRecord& record : progress.history) manifest["history"].push_back(to_json(record));
  return manifest;
}

Progress progress_from(const Json& manifest, const Options& options, const Dataset& data) {
  Progress progress;
  try {
    require_same_settings(manifest, settings(options, data));
    progress.epoch = manifest.at("epoch").as_integer();
    progress.batch = manifest.at("batch").as_integer();
    progress.loss_sum = finite(manifest, "loss_sum");
    progress.correct = manifest.at("correct").as_integer();
    progress.seconds = finite(manifest, "seconds");
    for (const Json& row : manifest.at("history").as_array())
      progress.history.push_back(record_from(row));
  } catch (const linnet::IoError& error) {
    throw UsageError(std::string("--resume: not a checkpoint of this program: ") + error.what());
  }
  check(progress, options, data.train_size() / options.batch_size);
  return progress;
}

}  // namespace demo
