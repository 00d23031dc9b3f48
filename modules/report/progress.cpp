#include "linnet/report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "text_columns.h"

namespace linnet {
namespace {

constexpr int kDefaultColumns = 80;
constexpr int kLeastBar = 10, kGreatestBar = 30;

// A stream over memory has no descriptor.
bool is_terminal(std::FILE* out) {
  const int descriptor = ::fileno(out);
  const char* kind = std::getenv("TERM");
  return descriptor >= 0 && ::isatty(descriptor) && !(kind && std::strcmp(kind, "dumb") == 0);
}

// Convention of no-color.org: set and not empty.
bool is_color_wanted() {
  const char* value = std::getenv("NO_COLOR");
  return value == nullptr || *value == '\0';
}

int terminal_columns(std::FILE* out) {
  winsize size{};
  const int descriptor = ::fileno(out);
  if (descriptor >= 0 && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return kDefaultColumns;
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string cut_to(std::string_view text, int columns) {
  size_t end = 0;
  int used = 0;
  for (; end < text.size(); ++end) {
    if ((text[end] & 0xC0) != 0x80 && ++used > columns) break;
  }
  return std::string(text.substr(0, end));
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto total = static_cast<int64_t>(seconds + 0.5);
  const int64_t days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60;
  if (days > 0) return fmt::format("{}d{:02}h", days, hours);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

std::string format_quantity(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  double magnitude = std::abs(value);
  size_t prefix = 0;
  // 999.5 would be rounded to four digits.
  while (magnitude >= 999.5 && prefix + 1 < std::size(kPrefixes)) {
    magnitude /= 1000;
    value /= 1000;
    ++prefix;
  }
  const int digits = magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, digits, kPrefixes[prefix]);
}

ProgressBar::ProgressBar(std::FILE* out, int64_t total, ProgressOptions options)
    : out_(out), total_(total), options_(std::move(options)) {
  interactive_ = options_.interactive.value_or(is_terminal(out));
  color_ = options_.color.value_or(interactive_ && is_color_wanted());
  start_ = now();
  last_shown_ = start_;
}

ProgressBar::~ProgressBar() {
  if (!line_open_) return;
  std::fputc('\n', out_);
  std::fflush(out_);
}

double ProgressBar::now() const { return options_.clock ? options_.clock() : steady_seconds(); }

double ProgressBar::throughput() const {
  const double elapsed = now() - start_;
  return elapsed > 0 ? static_cast<double>(done_) / elapsed : 0.0;
}

void ProgressBar::set(std::string_view key, double value) {
  set(key, fmt::format("{:.4g}", value));
}

void ProgressBar::set(std::string_view key, std::string_view value) {
  for (auto& field : fields_) {
    if (field.first == key) {
      field.second = value;
      return;
    }
  }
  fields_.emplace_back(key, value);
}

void ProgressBar::advance(int64_t count) {
  if (finished_) return;
  done_ += count;
  const double pause = interactive_ ? options_.refresh_seconds : options_.line_seconds;
  const double time = now();
  if (time - last_shown_ < pause) return;
  last_shown_ = time;
  show();
}

void ProgressBar::finish() {
  if (finished_) return;
  finished_ = true;
  show();
  if (line_open_) std::fputc('\n', out_);
  line_open_ = false;
  std::fflush(out_);
}

std::string ProgressBar::statistics() const {
  const double speed = throughput();
  const double elapsed = now() - start_;
  std::string result =
      total_ > 0 ? fmt::format("{}/{}", done_, total_) : fmt::format("{} {}", done_, options_.unit);
  result += "  " + format_duration(elapsed);
  if (!finished_ && total_ > 0 && speed > 0) {
    result += " eta " +
              format_duration(static_cast<double>(std::max<int64_t>(total_ - done_, 0)) / speed);
  }
  if (speed > 0) result += fmt::format("  {} {}/s", format_quantity(speed), options_.unit);
  for (const auto& [key, value] : fields_) result += fmt::format("  {} {}", key, value);
  return result;
}

std::string ProgressBar::bar(int cells) const {
  const double share =
      std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
  const int full = static_cast<int>(share * cells);
  std::string filled, empty;
  for (int i = 0; i < full; ++i) filled += "━";
  for (int i = full; i < cells; ++i) empty += color_ ? "━" : "─";
  if (!color_) return filled + empty;
  return "\x1b[32m" + filled + "\x1b[90m" + empty + "\x1b[0m";
}

std::string ProgressBar::text() const {
  std::string start = options_.label.empty() ? "" : options_.label + "  ";
  if (total_ > 0) {
    const double share = 100.0 * static_cast<double>(done_) / static_cast<double>(total_);
    start += fmt::format("{:3.0f}%", std::clamp(share, 0.0, 100.0)) + " ";
  }
  const std::string statistics = this->statistics();
  if (!interactive_) return start + statistics;
  // The last column stays free: some terminals wrap as soon as it is written.
  const int columns = options_.columns.value_or(terminal_columns(out_)) - 1;
  const int cells =
      std::min(columns - columns_of(start) - columns_of(statistics) - 1, kGreatestBar);
  if (total_ > 0 && cells >= kLeastBar) return start + bar(cells) + " " + statistics;
  return cut_to(start + statistics, std::max(columns, 0));
}

void ProgressBar::show() {
  // On a terminal: carriage return, then erase to the end of the line what a longer text left
  // behind.
  const std::string line = interactive_ ? "\r" + text() + "\x1b[K" : text() + "\n";
  line_open_ = interactive_;
  std::fputs(line.c_str(), out_);
  std::fflush(out_);
}

}  // namespace linnet
