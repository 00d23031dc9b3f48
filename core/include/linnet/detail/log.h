// The LINNET_LOG switch: a comma-separated list of topics (`kernels`, `graph`, `state`, `jit`).
#pragma once

#include <string_view>

#pragma GCC visibility push(default)

namespace linnet {

/// True if LINNET_LOG names `topic`; read from the environment once.
bool log_enabled(std::string_view topic);
/// Sends one line to the log sink (standard error unless replaced by `set_log_sink`).
void log_line(std::string_view topic, std::string_view text);
/// A line under the topic `warning`, which is on unless the topics were chosen and it is not among
/// them.
void log_warning(std::string_view text);

}  // namespace linnet

#pragma GCC visibility pop
