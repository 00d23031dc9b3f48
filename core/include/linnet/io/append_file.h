// A file that grows while others read it: logs of a training.
//
//   AppendFile log("out/log.csv");
//   log.write("step,loss\n");
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "linnet/io/file_system.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Appends to the end of `path`, which is made with its folder if needed. What `write` was given is
/// with the system when it returns: it survives the end of the process, not loss of power.
class AppendFile {
 public:
  /// @throws IoError with path and the system's reason; so does `write`.
  explicit AppendFile(std::string path, FileSystem& file_system = FileSystem::system());
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  ~AppendFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  FileSystem* file_system_;
  int descriptor_ = -1;
};

}  // namespace linnet

#pragma GCC visibility pop
