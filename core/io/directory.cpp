#include "directory.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <span>
#include <thread>

#include "interrupted.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

std::string parent_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

// The text of a lock file: the number of the process, padded so that a new owner covers an old one.
constexpr size_t kOwnerBytes = 24;

pid_t owner_in(const std::array<char, kOwnerBytes>& text) {
  pid_t process = 0;
  std::from_chars(text.data(), text.data() + text.size(), process);
  return process;
}

}  // namespace

void flush_directory(const std::string& path, FileSystem& file_system) {
  const int descriptor = retry_interrupted(
      [&] { return file_system.open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  if (descriptor < 0) throw_file_error("open the directory", path, errno);
  const int synced = retry_interrupted([&] { return file_system.sync(descriptor); });
  const int error_number = errno;
  file_system.close(descriptor);
  // EINVAL: the file system has no flush for directories, so there is nothing more to ask of it.
  if (synced < 0 && error_number != EINVAL)
    throw_file_error("flush the directory", path, error_number);
}

void make_directories(const std::string& path, FileSystem& file_system) {
  FileStatus status;
  if (file_system.status(path.c_str(), status) == 0) {
    if (!status.is_directory) fail<IoError>("create the directory {}: a file is in the way", path);
    return;
  }
  if (errno != ENOENT) throw_file_error("create the directory", path, errno);
  const std::string parent = parent_of(path);
  make_directories(parent, file_system);
  if (file_system.make_directory(path.c_str(), 0777) < 0) {
    const int error_number = errno;
    // Somebody else may have made it meanwhile.
    const bool exists = error_number == EEXIST && file_system.status(path.c_str(), status) == 0 &&
                        status.is_directory;
    if (!exists) throw_file_error("create the directory", path, error_number);
  }
  flush_directory(parent, file_system);
}

DirectoryLock::DirectoryLock(const std::string& directory, const std::string& name,
                             FileSystem& file_system)
    : path_(directory + "/" + name), file_system_(&file_system) {
  // The file that was locked is another than the one of this name if its owner removed it between
  // the opening and the locking.
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (try_lock(directory)) return;
  }
  fail<IoError>("{}: other processes lock it again and again", directory);
}

bool DirectoryLock::try_lock(const std::string& directory) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  descriptor_ = retry_interrupted([&] { return file_system_->open(path_.c_str(), kFlags, 0666); });
  if (descriptor_ < 0) throw_file_error("lock", path_, errno);
  bool is_held = false;
  try {
    is_held = hold(directory);
  } catch (...) {
    file_system_->close(descriptor_);
    throw;
  }
  if (!is_held) file_system_->close(descriptor_);
  return is_held;
}

// Allocates nothing once the lock is taken, so that it cannot be left behind.
bool DirectoryLock::hold(const std::string& directory) {
  if (retry_interrupted([&] { return file_system_->lock(descriptor_); }) < 0) {
    if (errno != EWOULDBLOCK) throw_file_error("lock", path_, errno);
    fail<IoError>("{}: {} is writing into this directory (it holds {})", directory, owner(), path_);
  }
  FileStatus locked, named;
  if (file_system_->status(descriptor_, locked) < 0) throw_file_error("inspect", path_, errno);
  const bool is_named = file_system_->status(path_.c_str(), named) == 0 &&
                        named.device == locked.device && named.inode == locked.inode;
  if (!is_named) return false;
  std::array<char, kOwnerBytes> text;
  text.fill(' ');
  std::to_chars(text.data(), text.data() + text.size() - 1, ::getpid());
  text.back() = '\n';
  // The number only makes the message of others better, so a failure costs nothing else.
  (void)file_system_->write(descriptor_, text.data(), text.size());
  return true;
}

std::string DirectoryLock::owner() const {
  // A new owner locks first and writes its number then: for a moment the file is empty or still
  // names a process that died.
  constexpr int kLooks = 20;
  for (int look = 0; look < kLooks; ++look) {
    std::array<char, kOwnerBytes> text{};
    if (file_system_->read_at(descriptor_, text.data(), text.size(), 0) > 0) {
      const pid_t process = owner_in(text);
      if (process > 0 && (::kill(process, 0) == 0 || errno != ESRCH))
        return fmt::format("process {}", process);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return "another process";
}

DirectoryLock::~DirectoryLock() {
  // Removed while it is still held, so that nobody else's file goes.
  file_system_->remove(path_.c_str());
  file_system_->close(descriptor_);
}

}  // namespace linnet
