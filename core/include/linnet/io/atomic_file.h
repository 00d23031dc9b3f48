// Writing a file so that readers see either the old content or the complete new one.
//
//   AtomicFile file("model.safetensors");
//   file.write(header);
//   file.write(data);
//   file.commit();      // without this the old file stays as it was
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "linnet/io/file_system.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Writes to a temporary file in the directory of `path`; `commit` flushes it to the disk, renames
/// it over `path` and flushes the directory. Until the rename the old file is untouched, and
/// whatever fails, the temporary file is removed. A symbolic link at `path` is replaced, not
/// followed. After `commit` returned, the content survives a crash of the process and loss of
/// power.
class AtomicFile {
 public:
  /// @throws IoError with path and the system's reason if the temporary file cannot be created.
  explicit AtomicFile(std::string path, FileSystem& file_system = FileSystem::system());
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Discards the temporary file if there was no `commit`.
  ~AtomicFile();

  /// Appends bytes.
  /// @throws IoError if not all of them could be written; the file is then discarded.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Makes the new content visible and durable.
  /// @throws IoError if a step fails. Only when flushing the directory fails has the rename already
  /// happened: `path` then holds the complete new content, which may not survive loss of power, and
  /// the message says so.
  void commit();

  uint64_t bytes_written() const { return bytes_written_; }

 private:
  [[noreturn]] void fail(const char* operation, int error_number);
  void require_open() const;
  void discard() noexcept;

  std::string path_;
  std::string directory_;
  std::string temporary_path_;
  FileSystem* file_system_;
  int descriptor_ = -1;
  bool temporary_exists_ = false;
  uint64_t bytes_written_ = 0;
};

/// Replaces the content of `path` in one step, see AtomicFile.
void write_file_atomically(const std::string& path, std::string_view content,
                           FileSystem& file_system = FileSystem::system());

/// Removes the temporary files that processes which ended without cleaning up (kill -9, loss of
/// power) left in `directory`. Those of running processes stay, and so does what cannot be removed.
/// @throws IoError if the directory cannot be read.
void remove_abandoned_temporaries(const std::string& directory,
                                  FileSystem& file_system = FileSystem::system());

}  // namespace linnet

#pragma GCC visibility pop
