#include "linnet/io/byte_source.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "interrupted.h"
#include "linnet/error.h"

namespace linnet {

void ByteSource::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    throw IoError(name_ + ": truncated: bytes " + std::to_string(offset) + " to " +
                  std::to_string(offset + out.size()) + " are needed, the file has " +
                  std::to_string(size_));
  }
  if (!out.empty()) read_range(offset, out);
}

FileSource::FileSource(const std::string& path, FileSystem& file_system)
    : ByteSource(path, 0), file_system_(&file_system) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  descriptor_ = retry_interrupted(
      [&] { return file_system.open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); });
  if (descriptor_ < 0) throw_file_error("open", path, errno);
  FileStatus status;
  const bool is_known = file_system.status(descriptor_, status) == 0;
  const int error_number = errno;
  if (!is_known || !status.is_regular) {
    file_system.close(descriptor_);
    if (!is_known) throw_file_error("inspect", path, error_number);
    throw IoError("open " + path + ": not a regular file");
  }
  set_size(status.size);
}

FileSource::~FileSource() { file_system_->close(descriptor_); }

void FileSource::read_range(uint64_t offset, std::span<std::byte> out) const {
  constexpr size_t kChunk = size_t{1} << 30;
  while (!out.empty()) {
    const ssize_t got = retry_interrupted([&] {
      return file_system_->read_at(descriptor_, out.data(), std::min(out.size(), kChunk),
                                   static_cast<off_t>(offset));
    });
    if (got < 0) throw_file_error("read", name(), errno);
    if (got == 0) {
      throw IoError(name() + ": truncated while it was read: it had " + std::to_string(size()) +
                    " bytes and now ends at byte " + std::to_string(offset));
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

std::shared_ptr<const std::byte> FileSource::block() const {
  const size_t bytes = static_cast<size_t>(size());
  if (bytes == 0) {
    static const std::byte kNothing{};
    return {std::shared_ptr<void>(), &kNothing};
  }
  void* address = file_system_->map(descriptor_, bytes);
  if (address == nullptr) throw_file_error("map", name(), errno);
  return {static_cast<const std::byte*>(address),
          [bytes](const std::byte* start) { ::munmap(const_cast<std::byte*>(start), bytes); }};
}

MemorySource::MemorySource(std::vector<std::byte> bytes, std::string name)
    : ByteSource(std::move(name), bytes.size()),
      bytes_(std::make_shared<const std::vector<std::byte>>(std::move(bytes))) {}

void MemorySource::read_range(uint64_t offset, std::span<std::byte> out) const {
  std::memcpy(out.data(), bytes_->data() + offset, out.size());
}

std::shared_ptr<const std::byte> MemorySource::block() const { return {bytes_, bytes_->data()}; }

}  // namespace linnet
