#include "linnet/io/file_system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <system_error>

#include "linnet/error.h"

namespace linnet {

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

FileSystem& FileSystem::system() {
  static FileSystem instance;
  return instance;
}

void throw_file_error(const char* operation, const std::string& path, int error_number) {
  throw IoError(std::string(operation) + " " + path + ": " +
                std::generic_category().message(error_number));
}

}  // namespace linnet
