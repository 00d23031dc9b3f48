// Trains a convolutional network that mixes functional and stateful modules on Fashion-MNIST.
//
//   fashion_mnist --api=linen --epochs=6 --out=out/run1
//
// Exit codes: 0 done; 1 failed while running (the last good checkpoint stays); 2 bad arguments or
// data; 130 and 143 ended by SIGINT or SIGTERM (a checkpoint was written; --resume goes on from
// it).
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "examples/fashion_mnist/report.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/checkpoint.h"
#include "linnet/parallel.h"
#include "linnet/report/progress.h"
#include "linnet/report/table.h"

namespace demo {
namespace {

volatile std::sig_atomic_t interrupted = 0;  ///< number of the signal

std::string path_in(const std::string& directory, const char* name) {
  return (std::filesystem::path(directory) / name).string();
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The numbers of the network are no longer finite; exit code 1.
struct Diverged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Run {
 public:
  Run(const Options& options, const Dataset& data)
      : options_(options),
        data_(data),
        batches_(data.train_size() / options.batch_size),
        checkpoint_(path_in(options.out, "checkpoint")) {
    if (batches_ == 0)
      throw UsageError("--batch-size is larger than the number of training images");
    if (data.test_size() == 0) throw UsageError("--data: there are no test images");
    require_writable();
    trainer_ =
        make_trainer(options.api, options.seed, batches_ * options.epochs, options.learning_rate);
  }

  void resume() {
    if (!linnet::has_checkpoint(checkpoint_))
      throw UsageError("--resume: there is no checkpoint in " + checkpoint_);
    try {
      progress_ = progress_from(linnet::checkpoint_manifest(checkpoint_), options_, data_);
      trainer_->load(checkpoint_);
    } catch (const linnet::IoError& error) {
      throw UsageError(std::string("--resume: ") + error.what());
    }
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
  /// Finds out before an epoch was spent whether its results can be written.
  void require_writable() const {
    try {
      std::filesystem::create_directories(checkpoint_);
      for (const std::string& directory : {options_.out, checkpoint_}) {
        linnet::remove_abandoned_temporaries(directory);
        linnet::AtomicFile probe(path_in(directory, "probe"));
        probe.write("probe");
      }
    } catch (const std::exception& error) {
      throw UsageError(std::string("--out: ") + error.what());
    }
    for (const char* name : {kCurves, kPredictions}) {
      if (std::filesystem::is_directory(path_in(options_.out, name)))
        throw UsageError("--out: " + path_in(options_.out, name) + " is a folder");
    }
  }

  void print_header() const {
    const linnet::Device device = linnet::default_device();
    std::printf(
        "api %s, %lld parameters, %lld training images, %lld steps of %lld, seed %lld, %d "
        "threads%s\n",
        name_of(options_.api), static_cast<long long>(trainer_->parameter_count()),
        static_cast<long long>(data_.train_size()),
        static_cast<long long>(batches_ * options_.epochs),
        static_cast<long long>(options_.batch_size), static_cast<long long>(options_.seed),
        linnet::num_threads(), device.host() ? "" : (", " + to_string(device)).c_str());
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
        if (!std::isfinite(step.loss)) throw diverged("the loss is not finite");
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
    if (!std::isfinite(record.test_loss)) throw diverged("the test loss is not finite");
    progress_.history.push_back(record);
    const int64_t epoch = ++progress_.epoch;
    progress_.batch = 0;
    progress_.loss_sum = 0;
    progress_.correct = 0;
    progress_.seconds = 0;
    save();
    draw();
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

  /// Pictures that cannot be written are no reason to stop.
  void draw() const {
    try {
      write_curves(path_in(options_.out, kCurves), progress_.history);
      write_predictions(path_in(options_.out, kPredictions), data_, *trainer_);
    } catch (const linnet::IoError& error) {
      std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    }
  }

  Diverged diverged(const char* what) const {
    return Diverged("training diverged: " + std::string(what) + " in epoch " +
                    std::to_string(progress_.epoch + 1) + ", step " +
                    std::to_string(progress_.batch + 1) +
                    "; the last checkpoint, if any, is kept. A lower --learning-rate may help");
  }

  void save() const {
    if (!trainer_->is_finite()) throw diverged("parameters are not finite");
    trainer_->save(checkpoint_, to_manifest(options_, data_, progress_));
  }

  static constexpr const char* kCurves = "curves.svg";
  static constexpr const char* kPredictions = "predictions.png";

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
  const linnet::Device device{options.device, 0};
  try {
    linnet::memory_stats(device);
  } catch (const linnet::DeviceError& error) {
    throw UsageError(std::string("--device: ") + error.what());
  }
  // Data, parameters and keys are made there, and what is computed from them stays there.
  const linnet::ScopedDevice here(device);
  std::optional<Dataset> data;
  try {
    data.emplace(options.data);
  } catch (const linnet::IoError& error) {
    std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    return 2;
  }
  Run run(options, *data);
  if (options.resume) run.resume();
  // A reader of the output that goes away (`| head`) is no reason to stop.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, [](int number) { interrupted = number; });
  std::signal(SIGTERM, [](int number) { interrupted = number; });
  if (!run.train()) {
    std::fprintf(stderr, "fashion_mnist: interrupted; --resume goes on from the checkpoint\n");
    return 128 + interrupted;
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
