// The few system calls under all file code of Linnet, behind an interface so that tests can make
// the N-th of them fail.
//
//   class FullDisk : public FileSystem {
//     ssize_t write(int, const void*, size_t) override { errno = ENOSPC; return -1; }
//   };
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet {

/// What is asked about a file or a directory.
struct FileStatus {
  bool is_regular = false;
  bool is_directory = false;
  uint64_t size = 0;    ///< bytes
  uint64_t device = 0;  ///< with `inode`: the identity of the file, whatever its names
  uint64_t inode = 0;
};

/// POSIX calls with POSIX conventions: failure is a negative result (null for `map`) and `errno`.
/// The base class forwards to the operating system and has no state; it may be shared by threads.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual int open(const char* path, int flags, unsigned mode);
  virtual ssize_t read_at(int descriptor, void* buffer, size_t bytes, off_t offset);
  virtual ssize_t write(int descriptor, const void* buffer, size_t bytes);
  virtual int sync(int descriptor);
  virtual int close(int descriptor);
  virtual int rename(const char* from, const char* to);
  virtual int remove(const char* path);
  /// Read-only private mapping of the first `bytes` bytes.
  virtual void* map(int descriptor, size_t bytes);
  virtual int status(int descriptor, FileStatus& result);
  /// Follows symbolic links.
  virtual int status(const char* path, FileStatus& result);
  virtual int make_directory(const char* path, unsigned mode);
  /// Appends the names in a directory to `names`, without `.` and `..`, in any order.
  virtual int list(const char* path, std::vector<std::string>& names);
  /// Takes the exclusive advisory lock of the open file, which ends with the descriptor or the
  /// process. Does not wait: EWOULDBLOCK if another descriptor holds it.
  virtual int lock(int descriptor);

  /// The operating system's file system.
  static FileSystem& system();
};

/// Throws IoError "<operation> <path>: <text of errno>".
[[noreturn]] void throw_file_error(const char* operation, const std::string& path,
                                   int error_number);

}  // namespace linnet

#pragma GCC visibility pop
