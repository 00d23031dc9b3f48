#include "linnet/io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>

#include "interrupted.h"
#include "linnet/error.h"

namespace linnet {
namespace {

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

constexpr std::string_view kTemporaryStart = ".linnet-", kTemporaryEnd = ".tmp";

// Unique within the process by the counter and among processes by the number of the process. The
// name does not contain that of the target, which may already have the greatest length allowed.
std::string temporary_name(const std::string& directory) {
  static std::atomic<uint64_t> counter{0};
  return directory + "/" + std::string(kTemporaryStart) + std::to_string(::getpid()) + "-" +
         std::to_string(counter++) + std::string(kTemporaryEnd);
}

// Whether `name` is that of a temporary file whose process has ended.
bool is_abandoned(std::string_view name) {
  if (!name.starts_with(kTemporaryStart) || !name.ends_with(kTemporaryEnd)) return false;
  name.remove_prefix(kTemporaryStart.size());
  pid_t process = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), process);
  if (error != std::errc() || process <= 0 || *end != '-') return false;
  return ::kill(process, 0) < 0 && errno == ESRCH;
}

}  // namespace

AtomicFile::AtomicFile(std::string path, FileSystem& file_system)
    : path_(std::move(path)), directory_(directory_of(path_)), file_system_(&file_system) {
  // A temporary file left by a killed process with our number is skipped, not reused.
  constexpr int kNameAttempts = 100;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    temporary_path_ = temporary_name(directory_);
    descriptor_ = retry_interrupted(
        [&] { return file_system_->open(temporary_path_.c_str(), kFlags, 0666); });
    if (descriptor_ >= 0 || errno != EEXIST) break;
  }
  if (descriptor_ < 0) throw_file_error("create a temporary file for", path_, errno);
  temporary_exists_ = true;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  require_open();
  // Linux writes at most 2^31 - 4096 bytes a call.
  constexpr size_t kChunk = size_t{1} << 30;
  while (!bytes.empty()) {
    const size_t request = std::min(bytes.size(), kChunk);
    const ssize_t written =
        retry_interrupted([&] { return file_system_->write(descriptor_, bytes.data(), request); });
    if (written < 0) fail("write", errno);
    if (written == 0) fail("write", ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(written));
    bytes_written_ += static_cast<uint64_t>(written);
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  require_open();
  if (retry_interrupted([&] { return file_system_->sync(descriptor_); }) < 0) fail("flush", errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  // After EINTR the descriptor is already released on Linux, and the content was flushed before.
  if (file_system_->close(descriptor) < 0 && errno != EINTR) fail("close", errno);

  // The directory is opened before the rename so that only its flush can fail afterwards.
  const int directory = retry_interrupted([&] {
    return file_system_->open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  });
  if (directory < 0) fail("open the directory of", errno);
  if (file_system_->rename(temporary_path_.c_str(), path_.c_str()) < 0) {
    const int error_number = errno;
    file_system_->close(directory);
    fail("rename a temporary file to", error_number);
  }
  temporary_exists_ = false;
  const int synced = retry_interrupted([&] { return file_system_->sync(directory); });
  const int error_number = errno;
  file_system_->close(directory);
  // EINVAL: the file system has no flush for directories, so there is nothing more to ask of it.
  if (synced < 0 && error_number != EINVAL) {
    throw_file_error(
        "flush the directory after writing (the new content is in place, but may not survive "
        "loss of power)",
        path_, error_number);
  }
}

void AtomicFile::fail(const char* operation, int error_number) {
  discard();
  throw_file_error(operation, path_, error_number);
}

void AtomicFile::require_open() const {
  if (descriptor_ < 0)
    throw IoError("write " + path_ + ": the file was already committed or discarded");
}

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) file_system_->close(descriptor_);
  descriptor_ = -1;
  if (temporary_exists_) file_system_->remove(temporary_path_.c_str());
  temporary_exists_ = false;
}

void remove_abandoned_temporaries(const std::string& directory, FileSystem& file_system) {
  std::vector<std::string> names;
  if (file_system.list(directory.c_str(), names) < 0) throw_file_error("list", directory, errno);
  for (const std::string& name : names) {
    if (is_abandoned(name)) file_system.remove((directory + "/" + name).c_str());
  }
}

void write_file_atomically(const std::string& path, std::string_view content,
                           FileSystem& file_system) {
  AtomicFile file(path, file_system);
  file.write(content);
  file.commit();
}

}  // namespace linnet
