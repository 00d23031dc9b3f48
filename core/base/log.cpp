#include "core/base/log.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "linnet/log.h"

namespace linnet {
namespace {

struct LogState {
  std::recursive_mutex mutex;  // a sink may use the library, and so log
  std::string topics = std::getenv("LINNET_LOG") ? std::getenv("LINNET_LOG") : "";
  std::atomic<bool> any{!topics.empty()};  // spares the lock where nothing is logged
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
  const std::string_view topics = state.topics;
  for (size_t begin = 0; begin <= topics.size();) {
    size_t end = topics.find(',', begin);
    if (end == std::string_view::npos) end = topics.size();
    if (topics.substr(begin, end - begin) == topic) return true;
    begin = end + 1;
  }
  return false;
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
  log_state().topics = std::move(topics);
}

}  // namespace linnet
