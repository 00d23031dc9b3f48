// Trains a convolutional network that mixes functional and stateful modules on Fashion-MNIST.
//
//   fashion_mnist --api=linen --epochs=6 --out=out/run1
//
// Exit codes: 0 done, 1 failed while running, 2 bad arguments or data, 130 interrupted (a
// checkpoint was written; --resume goes on from it).
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "examples/fashion_mnist/report.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/progress.h"
#include "linnet/io/table.h"
#include "linnet/parallel.h"

namespace demo {
namespace {

volatile std::sig_atomic_t interrupted = 0;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A bad combination of arguments and files: one sentence and exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Position and history of a run; saved with every checkpoint.
struct Progress {
  int64_t epoch = 0, batch = 0;  ///< next to be done
  double loss_sum = 0;           ///< over the batches of the present epoch
  int64_t correct = 0;
  double seconds = 0;  ///< of the present epoch, before this process
  std::vector<EpochRecord> history;
};

class Run {
 public:
  Run(const Options& options, const Dataset& data)
      : options_(options),
        data_(data),
        batches_(data.train_size() / options.batch_size),
        checkpoint_((std::filesystem::path(options.out) / "checkpoint").string()) {
    if (batches_ == 0)
      throw UsageError("--batch-size is larger than the number of training images");
    trainer_ = make_trainer(options.api, options.seed, batches_ * options.epochs);
  }

  void resume() {
    if (!linnet::has_checkpoint(checkpoint_))
      throw UsageError("--resume: there is no checkpoint in " + checkpoint_);
    const linnet::Json manifest = linnet::checkpoint_manifest(checkpoint_);
    const auto require = [&](const char* name, const linnet::Json& wanted) {
      if (!(manifest.at(name) == wanted)) {
        throw UsageError("--resume: the checkpoint was made with " + std::string(name) + " " +
                         manifest.at(name).to_text(0) + ", not " + wanted.to_text(0));
      }
    };
    require("api", name_of(options_.api));
    require("seed", options_.seed);
    require("batch_size", options_.batch_size);
    require("epochs", options_.epochs);
    trainer_->load(checkpoint_);
    progress_.epoch = manifest.at("epoch").as_integer();
    progress_.batch = manifest.at("batch").as_integer();
    progress_.loss_sum = manifest.at("loss_sum").as_double();
    progress_.correct = manifest.at("correct").as_integer();
    progress_.seconds = manifest.at("seconds").as_double();
    progress_.history = history_from(manifest.at("history"));
  }

  /// False if interrupted.
  bool train() {
    print_header();
    for (; progress_.epoch < options_.epochs;) {
      if (!train_epoch()) {
        save();
        return false;
      }
    }
    return true;
  }

  void print_result() const {
    double seconds = 0;
    for (const EpochRecord& record : progress_.history) seconds += record.seconds;
    const double images = static_cast<double>(options_.epochs * batches_ * options_.batch_size);
    std::printf("test accuracy: %.4f after %lld epochs, %.1f s (%.0f img/s), checkpoint %s\n",
                progress_.history.back().test_accuracy, static_cast<long long>(options_.epochs),
                seconds, images / seconds, checkpoint_.c_str());
  }

 private:
  void print_header() const {
    std::printf(
        "api %s, %lld parameters, %lld training images, %lld steps of %lld, seed %lld, %d "
        "threads\n",
        name_of(options_.api), static_cast<long long>(trainer_->parameter_count()),
        static_cast<long long>(data_.train_size()),
        static_cast<long long>(batches_ * options_.epochs),
        static_cast<long long>(options_.batch_size), static_cast<long long>(options_.seed),
        linnet::num_threads());
    std::fflush(stdout);
  }

  bool train_epoch() {
    const linnet::Tensor order = data_.order(options_.seed, progress_.epoch);
    const double start = now();
    {
      char label[32];
      std::snprintf(label, sizeof label, "epoch %lld/%lld",
                    static_cast<long long>(progress_.epoch + 1),
                    static_cast<long long>(options_.epochs));
      linnet::ProgressBar bar(stderr, (batches_ - progress_.batch) * options_.batch_size,
                              {.label = label, .unit = "img"});
      for (; progress_.batch < batches_; ++progress_.batch) {
        if (interrupted) {
          progress_.seconds += now() - start;
          return false;
        }
        const Batch batch =
            data_.train_batch(order, progress_.batch * options_.batch_size, options_.batch_size);
        const Trainer::Step step = trainer_->train(batch);
        progress_.loss_sum += step.loss;
        progress_.correct += step.correct;
        bar.set("loss", step.loss);
        bar.advance(options_.batch_size);
      }
      bar.finish();
    }
    finish_epoch(progress_.seconds + now() - start);
    return true;
  }

  void finish_epoch(double seconds) {
    EpochRecord record;
    const double images = static_cast<double>(batches_ * options_.batch_size);
    record.train_loss = progress_.loss_sum / static_cast<double>(batches_);
    record.train_accuracy = static_cast<double>(progress_.correct) / images;
    record.seconds = seconds;
    evaluate(record);
    progress_.history.push_back(record);
    const int64_t epoch = ++progress_.epoch;
    progress_.batch = 0;
    progress_.loss_sum = 0;
    progress_.correct = 0;
    progress_.seconds = 0;
    save();
    write_curves((std::filesystem::path(options_.out) / "curves.svg").string(), progress_.history);
    write_predictions((std::filesystem::path(options_.out) / "predictions.png").string(), data_,
                      *trainer_);
    table_.add_row({epoch, record.train_loss, record.train_accuracy, record.test_loss,
                    record.test_accuracy, record.seconds, images / record.seconds});
    std::fflush(stdout);
  }

  void evaluate(EpochRecord& record) {
    constexpr int64_t kBatch = 500;
    double loss = 0;
    int64_t correct = 0;
    for (int64_t first = 0; first < data_.test_size(); first += kBatch) {
      const Batch batch = data_.test_batch(first, std::min(kBatch, data_.test_size() - first));
      const linnet::Tensor logits = trainer_->logits(batch.image);
      loss += sum(softmax_cross_entropy_with_integer_labels(logits, batch.label)).item<double>();
      correct +=
          sum(astype(equal(argmax(logits, -1), batch.label), linnet::DType::kI32)).item<int64_t>();
    }
    record.test_loss = loss / static_cast<double>(data_.test_size());
    record.test_accuracy = static_cast<double>(correct) / static_cast<double>(data_.test_size());
  }

  void save() const {
    linnet::Json manifest = linnet::Json::object();
    manifest["api"] = name_of(options_.api);
    manifest["seed"] = options_.seed;
    manifest["batch_size"] = options_.batch_size;
    manifest["epochs"] = options_.epochs;
    manifest["epoch"] = progress_.epoch;
    manifest["batch"] = progress_.batch;
    manifest["loss_sum"] = progress_.loss_sum;
    manifest["correct"] = progress_.correct;
    manifest["seconds"] = progress_.seconds;
    manifest["history"] = to_json(progress_.history);
    trainer_->save(checkpoint_, manifest);
  }

  Options options_;
  const Dataset& data_;
  int64_t batches_;
  std::string checkpoint_;
  std::unique_ptr<Trainer> trainer_;
  Progress progress_;
  linnet::TextTable table_{stdout,
                           {{.title = "epoch", .width = 5},
                            {.title = "train loss", .width = 10},
                            {.title = "train acc", .width = 9},
                            {.title = "test loss", .width = 9},
                            {.title = "test acc", .width = 8},
                            {.title = "seconds", .width = 7, .precision = 1},
                            {.title = "img/s", .width = 6, .precision = 0}}};
};

int run(const Options& options) {
  if (options.threads > 0) linnet::set_num_threads(options.threads);
  std::optional<Dataset> data;
  try {
    data.emplace(options.data);
  } catch (const linnet::IoError& error) {
    std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    return 2;
  }
  Run run(options, *data);
  if (options.resume) run.resume();
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  if (!run.train()) {
    std::fprintf(stderr, "fashion_mnist: interrupted; --resume goes on from the checkpoint\n");
    return 130;
  }
  run.print_result();
  return 0;
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) {
  const demo::Parsed parsed = demo::parse_options(argc, argv);
  if (parsed.exit_code) return *parsed.exit_code;
  try {
    return demo::run(parsed.options);
  } catch (const demo::UsageError& error) {
    std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    return 1;
  }
}
