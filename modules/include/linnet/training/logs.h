// Callbacks that write down what a Trainer measures: a progress bar on a stream, tables, curves,
// and event files for TensorBoard.
//
//   trainer.add(training::ProgressLog(stderr));
//   trainer.add(training::CsvLog("out/log.csv"));
//   trainer.add(training::SvgCurves("out/curves.svg"));
//   trainer.add(training::TensorBoard("out/events"));
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/report/progress.h"
#include "linnet/training/event_file.h"
#include "linnet/training/trainer.h"

#pragma GCC visibility push(default)

namespace linnet::training {

/// A bar for each epoch with the latest values (linnet/report/progress.h).
class ProgressLog : public Callback {
 public:
  /// @param batches of an epoch, for the share that is done; 0: not known.
  explicit ProgressLog(std::FILE* out, int64_t batches = 0, ProgressOptions options = {});
  std::string name() const override { return "ProgressLog"; }
  void on_epoch_start(Trainer& trainer) override;
  void on_record(Trainer& trainer, const Record& record) override;
  void on_step(Trainer& trainer) override;
  void on_epoch_end(Trainer& trainer) override;
  void on_end(Trainer& trainer) override;

 private:
  std::FILE* out_;
  int64_t batches_;
  ProgressOptions options_;
  std::unique_ptr<ProgressBar> bar_;
};

/// A line `step,epoch,metric,value` for each value, under a heading. A run that is resumed goes on
/// behind what its checkpoint knows; one that begins replaces the file.
class CsvLog : public Callback {
 public:
  explicit CsvLog(std::string path) : path_(std::move(path)) {}
  std::string name() const override { return "CsvLog(" + path_ + ")"; }
  void on_start(Trainer& trainer) override;
  void on_record(Trainer& trainer, const Record& record) override;
  Json state() const override { return Json::Object{{"bytes", bytes_}}; }
  void restore(const Json& state) override { bytes_ = state.at("bytes").as_integer(); }

 private:
  void write(const std::string& text);
  std::string path_;
  int64_t bytes_ = 0;  ///< written by this run
  std::optional<AppendFile> file_;
};

/// A chart with a panel for each metric, and a line in it for each group. Written at the end of
/// each epoch and of the training. Checkpoints hold its points.
class SvgCurves : public Callback {
 public:
  explicit SvgCurves(std::string path, std::string title = {})
      : path_(std::move(path)), title_(std::move(title)) {}
  std::string name() const override { return "SvgCurves(" + path_ + ")"; }
  void on_record(Trainer& trainer, const Record& record) override;
  void on_epoch_end(Trainer&) override { draw(); }
  void on_end(Trainer&) override { draw(); }
  Json state() const override;
  void restore(const Json& state) override;

 private:
  void draw() const;
  struct Points {
    std::vector<double> step, value;
  };
  std::string path_, title_;
  std::map<std::string, std::map<std::string, Points>> metrics_;  ///< by name, then by group
};

/// Scalars in an event file of its own for each start; a resumed run makes void what earlier files
/// have beyond its checkpoint.
class TensorBoard : public Callback {
 public:
  explicit TensorBoard(std::string directory, EventFileOptions options = {})
      : directory_(std::move(directory)), options_(std::move(options)) {}
  std::string name() const override { return "TensorBoard"; }
  void on_start(Trainer& trainer) override;
  void on_record(Trainer& trainer, const Record& record) override;
  /// For distributions and pictures besides. @throws ValueError before the first `fit`.
  EventFile& events();

 private:
  std::string directory_;
  EventFileOptions options_;
  std::optional<EventFile> events_;
};

}  // namespace linnet::training

#pragma GCC visibility pop
