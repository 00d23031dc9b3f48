#include "linnet/detail/log.h"

#include <atomic>
#include <cstdint>
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

/// Whether there are topics. It spares the lock where nothing is logged, which every eager
/// operation asks.
enum class Topics : uint8_t { kNotRead, kNone, kSome };
constinit std::atomic<Topics> present_topics{Topics::kNotRead};

void note_topics(const std::string& topics) {
  present_topics.store(topics.empty() ? Topics::kNone : Topics::kSome, std::memory_order_relaxed);
}

struct LogState {
  LogState() { note_topics(topics); }
  std::recursive_mutex mutex;  // a sink may use the library, and so log
  std::string topics = std::getenv("LINNET_LOG") ? std::getenv("LINNET_LOG") : "";
  bool warnings = std::getenv("LINNET_LOG") == nullptr || names(topics, "warning");
  LogSink sink;
};
LogState& log_state() {
  static LogState* state = new LogState;  // never destroyed: used until the last thread ends
  return *state;
}

}  // namespace

bool log_enabled(std::string_view topic) {
  if (present_topics.load(std::memory_order_relaxed) == Topics::kNone) [[likely]]
    return false;
  LogState& state = log_state();
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
  note_topics(topics);
  log_state().warnings = names(topics, "warning");
  log_state().topics = std::move(topics);
}

}  // namespace linnet
