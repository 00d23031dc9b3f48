#include "linnet/detail/log.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "linnet/log.h"

namespace linnet {
namespace {

/// Whether a comma-separated list has this entry.
bool names(std::string_view topics, std::string_view topic) {
  for (size_t begin = 0; begin <= topics.size();) {
    size_t end = topics.find(',', begin);
    if (end == std::string_view::npos) end = topics.size();
    if (topics.substr(begin, end - begin) == topic) return true;
    begin = end + 1;
  }
  return false;
}

struct LogState {
  std::recursive_mutex mutex;  // a sink may use the library, and so log
  std::string topics = std::getenv("LINNET_LOG") ? std::getenv("LINNET_LOG") : "";
  std::atomic<bool> any{!topics.empty()};  // spares the lock where nothing is logged
  bool warnings = std::getenv("LINNET_LOG") == nullptr || names(topics, "warning");
  LogSink sink;
};
LogState& log_state() {
  static LogState* state = new LogState;  // never destroyed: used until the last thread ends
  return *state;
}

}  // namespace

bool log_enabled(std::string_view topic) {
  LogState& state = log_state();
  if (!state.any.load(std::memory_order_relaxed)) return false;
  std::lock_guard lock(state.mutex);
  return names(state.topics, topic);
}

void log_warning(std::string_view text) {
  {
    LogState& state = log_state();
    std::lock_guard lock(state.mutex);
    if (!state.warnings) return;
  }
  log_line("warning", text);
}

void log_line(std::string_view topic, std::string_view text) {
  LogState& state = log_state();
  std::lock_guard lock(state.mutex);
  if (const LogSink sink = state.sink) {  // a copy: the sink may replace itself
    sink(topic, text);
  } else {
    std::fprintf(stderr, "linnet %.*s: %.*s\n", static_cast<int>(topic.size()), topic.data(),
                 static_cast<int>(text.size()), text.data());
  }
}

void set_log_sink(LogSink sink) {
  std::lock_guard lock(log_state().mutex);
  log_state().sink = std::move(sink);
}

void set_log_topics(std::string topics) {
  std::lock_guard lock(log_state().mutex);
  log_state().any = !topics.empty();
  log_state().warnings = names(topics, "warning");
  log_state().topics = std::move(topics);
}

}  // namespace linnet
