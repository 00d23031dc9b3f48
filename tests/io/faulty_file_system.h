// A file system that records calls and makes chosen ones fail.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "linnet/io/file_system.h"

namespace linnet::testing {

/// Records the calls and makes the N-th one fail, once or from then on.
class FaultyFileSystem : public FileSystem {
 public:
  int fail_at = -1;
  int error_number = EIO;
  bool persistent = false;
  bool remove_fails_too = false;  // whether the clean-up belongs to the calls that may fail
  size_t longest_write = SIZE_MAX;
  std::vector<std::string> calls;
  /// Called before each call with its name and path (empty for calls on descriptors).
  std::function<void(const std::string& call, const std::string& path)> before;

  int open(const char* path, int flags, unsigned mode) override {
    return fails(flags & O_DIRECTORY ? "open directory" : "open", path)
               ? -1
               : FileSystem::open(path, flags, mode);
  }
  ssize_t read_at(int descriptor, void* buffer, size_t bytes, off_t offset) override {
    return fails("read")
               ? -1
               : FileSystem::read_at(descriptor, buffer, std::min(bytes, longest_write), offset);
  }
  ssize_t write(int descriptor, const void* buffer, size_t bytes) override {
    return fails("write") ? -1
                          : FileSystem::write(descriptor, buffer, std::min(bytes, longest_write));
  }
  // Nothing is really flushed: no power is lost here, and it would take most of the tests' time.
  int sync(int descriptor) override {
    FileStatus status;
    FileSystem::status(descriptor, status);
    return fails(status.is_directory ? "sync directory" : "sync") ? -1 : 0;
  }
  int close(int descriptor) override {
    const int result =
        FileSystem::close(descriptor);  // a failing close releases the descriptor, too
    return fails("close") ? -1 : result;
  }
  int rename(const char* from, const char* to) override {
    return fails("rename", to) ? -1 : FileSystem::rename(from, to);
  }
  int remove(const char* path) override {
    if (remove_fails_too && fails("remove", path)) return -1;
    return FileSystem::remove(path);
  }
  void* map(int descriptor, size_t bytes) override {
    return fails("map") ? nullptr : FileSystem::map(descriptor, bytes);
  }
  int status(int descriptor, FileStatus& result) override {
    return fails("status") ? -1 : FileSystem::status(descriptor, result);
  }
  int status(const char* path, FileStatus& result) override {
    return fails("status of", path) ? -1 : FileSystem::status(path, result);
  }
  int make_directory(const char* path, unsigned mode) override {
    return fails("make directory", path) ? -1 : FileSystem::make_directory(path, mode);
  }
  int list(const char* path, std::vector<std::string>& names) override {
    return fails("list", path) ? -1 : FileSystem::list(path, names);
  }
  int lock(int descriptor) override { return fails("lock") ? -1 : FileSystem::lock(descriptor); }

 private:
  bool fails(const char* call, const char* path = "") {
    if (before) before(call, path);
    const int index = static_cast<int>(calls.size());
    calls.push_back(call);
    const bool is_failing = fail_at >= 0 && (index == fail_at || (persistent && index > fail_at));
    if (is_failing) errno = error_number;
    return is_failing;
  }
};

}  // namespace linnet::testing
