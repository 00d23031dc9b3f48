// Compiled kernels between processes.
#pragma once

#include <optional>
#include <string>

namespace linnet::cuda {

/// What was kept under a key; nothing if that is missing or damaged. A damaged file is logged.
std::optional<std::string> find_compiled(const std::string& key);
/// Keeps it, unless there is no folder for that (driver/cache_folder.h). What fails is logged: the
/// kernel will be compiled again.
void keep_compiled(const std::string& key, const std::string& image);
/// The file of a key; empty if nothing is kept.
std::string compiled_file(const std::string& key);

}  // namespace linnet::cuda
