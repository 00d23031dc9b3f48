#include "linnet/io/append_file.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "directory.h"
#include "interrupted.h"

namespace linnet {

AppendFile::AppendFile(std::string path, FileSystem& file_system)
    : path_(std::move(path)), file_system_(&file_system) {
  const size_t slash = path_.rfind('/');
  if (slash != std::string::npos && slash > 0)
    make_directories(path_.substr(0, slash), file_system);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  descriptor_ = retry_interrupted([&] { return file_system_->open(path_.c_str(), kFlags, 0666); });
  if (descriptor_ < 0) throw_file_error("open", path_, errno);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_system_(other.file_system_),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) file_system_->close(descriptor_);
}

void AppendFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retry_interrupted(
        [&] { return file_system_->write(descriptor_, bytes.data(), bytes.size()); });
    if (written <= 0) throw_file_error("write", path_, written < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AppendFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

}  // namespace linnet
