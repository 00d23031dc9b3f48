#include "linnet/io/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "linnet/error.h"

namespace linnet {
namespace {

void convert(const struct ::stat& from, FileStatus& to) {
  to.is_regular = S_ISREG(from.st_mode);
  to.is_directory = S_ISDIR(from.st_mode);
  to.size = static_cast<uint64_t>(from.st_size);
  to.device = static_cast<uint64_t>(from.st_dev);
  to.inode = static_cast<uint64_t>(from.st_ino);
}

}  // namespace

int FileSystem::open(const char* path, int flags, unsigned mode) {
  return ::open(path, flags, mode);
}

ssize_t FileSystem::read_at(int descriptor, void* buffer, size_t bytes, off_t offset) {
  return ::pread(descriptor, buffer, bytes, offset);
}

ssize_t FileSystem::write(int descriptor, const void* buffer, size_t bytes) {
  return ::write(descriptor, buffer, bytes);
}

int FileSystem::sync(int descriptor) { return ::fsync(descriptor); }

int FileSystem::close(int descriptor) { return ::close(descriptor); }

int FileSystem::rename(const char* from, const char* to) { return ::rename(from, to); }

int FileSystem::remove(const char* path) { return ::unlink(path); }

void* FileSystem::map(int descriptor, size_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
  return address == MAP_FAILED ? nullptr : address;
}

int FileSystem::status(int descriptor, FileStatus& result) {
  struct ::stat status {};
  if (::fstat(descriptor, &status) < 0) return -1;
  convert(status, result);
  return 0;
}

int FileSystem::status(const char* path, FileStatus& result) {
  struct ::stat status {};
  if (::stat(path, &status) < 0) return -1;
  convert(status, result);
  return 0;
}

int FileSystem::make_directory(const char* path, unsigned mode) { return ::mkdir(path, mode); }

int FileSystem::list(const char* path, std::vector<std::string>& names) {
  struct Closer {
    DIR* directory;
    ~Closer() { ::closedir(directory); }
  };
  DIR* const directory = ::opendir(path);
  if (directory == nullptr) return -1;
  const Closer closer{directory};
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error_number = errno;
  if (error_number == 0) return 0;
  errno = error_number;
  return -1;
}

int FileSystem::lock(int descriptor) { return ::flock(descriptor, LOCK_EX | LOCK_NB); }

FileSystem& FileSystem::system() {
  static FileSystem instance;
  return instance;
}

void throw_file_error(const char* operation, const std::string& path, int error_number) {
  throw IoError(std::string(operation) + " " + path + ": " +
                std::generic_category().message(error_number));
}

}  // namespace linnet
