#include "core/profile/events.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/fork.h"
#include "core/base/watch.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/error.h"
#include "linnet/io/json.h"
#include "linnet/profile.h"

namespace linnet::profile {
namespace {

using Clock = std::chrono::steady_clock;

/// @throws ValueError if it is not UTF-8.
std::string quoted(std::string text) { return Json(std::move(text)).to_text(0); }

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

/// The file of a trace. After each writing it ends with a bracket, over which the next one writes:
/// so it is whole whenever the process ends.
class TraceFile {
 public:
  explicit TraceFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "w")) {
    if (!file_) fail<IoError>("trace: {} cannot be written: {}", path, std::strerror(errno));
    add(fmt::format(R"({{"ph":"M","pid":{},"name":"process_name","args":{{"name":"linnet"}}}})",
                    process_));
    write();
  }
  ~TraceFile() {
    if (process_ == ::getpid()) write();
    std::fclose(file_);
  }
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  /// @param facts as JSON.
  void add_event(const char* category, const Facts& facts, Clock::time_point began,
                 Clock::time_point ended) {
    const int row = row_of_thread();
    std::string text = R"({"ph":"X","cat":")";
    text += category;
    text += R"(","name":)";
    text += facts.name;
    text += fmt::format(R"(,"pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{)", process_, row,
                        microseconds(began - start_), microseconds(ended - began));
    const char* comma = "";
    const auto add_fact = [&](const char* key, const std::string& value) {
      if (value.empty()) return;
      text += fmt::format("{}\"{}\":", std::exchange(comma, ","), key);
      text += value;
    };
    add_fact("module", facts.path);
    add_fact("types", facts.types);
    add_fact("kernel", facts.kernel);
    add(text + "}}");
    if (buffer_.size() > kMostBuffered || ended - written_ > std::chrono::seconds(1)) write();
  }

  void write() {
    written_ = Clock::now();
    if (process_ != ::getpid()) return;  // a forked child leaves the file to its parent
    std::fseek(file_, end_, SEEK_SET);
    std::fwrite(buffer_.data(), 1, buffer_.size(), file_);
    end_ = std::ftell(file_);
    buffer_.clear();
    std::fputs("\n]\n", file_);
    std::fflush(file_);
  }

 private:
  static constexpr size_t kMostBuffered = size_t{1} << 16;

  void add(const std::string& event) {
    buffer_ += empty_ ? "[\n" : ",\n";
    empty_ = false;
    buffer_ += event;
  }

  /// Rows are numbered in the order in which threads come.
  int row_of_thread() {
    const auto [found, fresh] =
        rows_.try_emplace(std::this_thread::get_id(), static_cast<int>(rows_.size()) + 1);
    if (fresh) {
      add(fmt::format(
          R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"thread {}"}}}})",
          process_, found->second, found->second));
    }
    return found->second;
  }

  std::string path_;
  std::FILE* file_;
  pid_t process_ = ::getpid();
  Clock::time_point start_ = Clock::now(), written_ = start_;
  std::map<std::thread::id, int> rows_;
  std::string buffer_;
  bool empty_ = true;
  long end_ = 0;
};

struct Writer {
  Writer() {
    lock_around_fork(mutex, 0);
    std::atexit([] { stop_trace(); });
  }
  std::mutex mutex;
  std::unique_ptr<TraceFile> file;
};
Writer& writer() {
  static Writer* instance = new Writer;  // never destroyed: threads may go on while others exit
  return *instance;
}

/// At the start of the process, so that nothing has to ask later.
const bool started_by_environment = [] {
  const char* path = std::getenv("LINNET_TRACE");
  if (!path || !*path) return false;
  try {
    start_trace(path);
  } catch (const Error& error) {
    log_warning(std::string("LINNET_TRACE: ") + error.what());
  }
  return true;
}();

}  // namespace

void start_trace(const std::string& path) {
  auto file = std::make_unique<TraceFile>(path);
  std::lock_guard lock(writer().mutex);
  writer().file = std::move(file);
  if (!tracing_now.exchange(true)) ++watchers;
}

void write_trace() {
  std::lock_guard lock(writer().mutex);
  if (writer().file) writer().file->write();
}

void stop_trace() {
  std::lock_guard lock(writer().mutex);
  writer().file.reset();
  if (tracing_now.exchange(false)) --watchers;
}

void Event::begin(Facts facts) {
  facts_.name = quoted(std::move(facts.name));
  for (const auto part : {&Facts::path, &Facts::types, &Facts::kernel})
    if (!(facts.*part).empty()) facts_.*part = quoted(std::move(facts.*part));
  on_ = true;
  began_ = Clock::now();
}

void Event::end() {
  const Clock::time_point ended = Clock::now();
  std::lock_guard lock(writer().mutex);
  if (writer().file) writer().file->add_event(category_, facts_, began_, ended);
}

struct Span::Impl {
  explicit Impl(std::string_view name)
      : event("user", [&] { return Facts{.name = std::string(name)}; }) {}
  Event event;
};
Span::Span(std::string_view name) : impl_(tracing() ? std::make_unique<Impl>(name) : nullptr) {}
Span::~Span() = default;

}  // namespace linnet::profile
