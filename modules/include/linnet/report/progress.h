// A progress bar for training loops: one line that is redrawn on a terminal, plain lines elsewhere.
//
//   ProgressBar bar(stderr, steps_per_epoch, {.label = "epoch 3", .unit = "img"});
//   for (...) { bar.set("loss", loss); bar.advance(batch_size); }
//   bar.finish();
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet {

/// Settings that are normally left alone; the empty optionals are found out from the stream and the
/// environment (`NO_COLOR`, `TERM`).
struct ProgressOptions {
  std::string label = {};
  std::string unit = "it";               ///< what is counted, for the throughput
  double refresh_seconds = 0.1;          ///< least time between two redraws on a terminal
  double line_seconds = 10.0;            ///< least time between two lines elsewhere
  std::optional<bool> interactive = {};  ///< redraw one line (true) or print lines (false)
  std::optional<bool> color = {};
  std::optional<int> columns = {};     ///< width of the terminal
  std::function<double()> clock = {};  ///< seconds, for tests; default: steady clock
};

/// Counts up to a total and shows share done, throughput, remaining time and named values.
/// Not thread-safe. Output errors are ignored: a closed terminal must not stop a training.
class ProgressBar {
 public:
  /// `total` zero or less means that the end is not known.
  ProgressBar(std::FILE* out, int64_t total, ProgressOptions options = {});
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// Ends an unfinished line, so that what follows (an error message) starts on a fresh one.
  ~ProgressBar();

  /// Sets a named value shown after the bar; order is that of the first call.
  void set(std::string_view key, double value);
  void set(std::string_view key, std::string_view value);
  /// Counts `count` more and redraws if enough time has passed.
  void advance(int64_t count = 1);
  /// Draws the final state and ends the line. Further calls do nothing.
  void finish();

  int64_t done() const { return done_; }
  /// Units per second since construction; zero before time has passed.
  double throughput() const;
  /// The text that would be shown now.
  std::string text() const;

 private:
  double now() const;
  void show();
  std::string statistics() const;
  std::string bar(int cells) const;

  std::FILE* out_;
  int64_t total_;
  ProgressOptions options_;
  bool interactive_;
  bool color_;
  int64_t done_ = 0;
  double start_;
  double last_shown_;
  bool line_open_ = false;
  bool finished_ = false;
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// `0:07`, `12:34`, `1:02:03`, or `2d03h` for a number of seconds; `?` if not finite or negative.
std::string format_duration(double seconds);
/// Three significant digits with a decimal prefix: `987`, `12.3k`, `4.56M`.
std::string format_quantity(double value);

}  // namespace linnet

#pragma GCC visibility pop
