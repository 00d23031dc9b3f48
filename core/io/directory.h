// Directories that survive loss of power, and the lock of a directory with one writer. Private.
#pragma once

#include <string>

#include "linnet/io/file_system.h"

namespace linnet {

/// Makes `path` and the parents that are missing, and flushes every directory that got a new entry.
/// @throws IoError naming the directory that could not be made.
void make_directories(const std::string& path, FileSystem& file_system);

/// Makes the entries of a directory durable. @throws IoError with the system's reason.
void flush_directory(const std::string& path, FileSystem& file_system);

/// Held by the one process and thread that writes into a directory. The system gives it up when the
/// process ends in whatever way, so the lock file of a dead process stops nobody.
class DirectoryLock {
 public:
  /// @throws IoError naming the process that holds the lock, or the system's reason.
  DirectoryLock(const std::string& directory, const std::string& name, FileSystem& file_system);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  bool try_lock(const std::string& directory);
  bool hold(const std::string& directory);
  std::string owner() const;

  std::string path_;
  FileSystem* file_system_;
  int descriptor_ = -1;
};

}  // namespace linnet
