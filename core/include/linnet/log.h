// Where the library's log lines go. Nothing is logged unless LINNET_LOG asks for it, but for
// warnings, which an empty LINNET_LOG silences.
//
//   set_log_sink([](std::string_view topic, std::string_view text) { my_logger(topic, text); });
#pragma once

#include <functional>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace linnet {

using LogSink = std::function<void(std::string_view topic, std::string_view text)>;

/// Replaces the sink (standard error by default); an empty function restores the default.
void set_log_sink(LogSink sink);
/// Replaces the topics given by LINNET_LOG: `kernels,graph,state,jit,warning`.
void set_log_topics(std::string topics);

}  // namespace linnet

#pragma GCC visibility pop
