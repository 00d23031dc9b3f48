// Random access to the bytes of a regular file or of a block of memory, with exact reads.
//
//   FileSource source("weights.npy");
//   std::array<std::byte, 8> magic;
//   source.read(0, magic);        // all eight bytes or an IoError
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "linnet/io/file_system.h"

#pragma GCC visibility push(default)

namespace linnet {

/// What the parsers of file formats read from.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// Path or description, the beginning of every error message about the content.
  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }

  /// Fills `out` from `offset`.
  /// @throws IoError if the range is not inside the source or cannot be read completely.
  void read(uint64_t offset, std::span<std::byte> out) const;

  /// All bytes as one block that lives as long as the returned pointer. Copies nothing for memory
  /// and mapped files.
  /// @throws IoError if the file cannot be mapped.
  virtual std::shared_ptr<const std::byte> block() const = 0;

 protected:
  ByteSource(std::string name, uint64_t size) : name_(std::move(name)), size_(size) {}
  virtual void read_range(uint64_t offset, std::span<std::byte> out) const = 0;
  void set_size(uint64_t size) { size_ = size; }

 private:
  std::string name_;
  uint64_t size_;
};

/// An open regular file. Directories, pipes and devices are refused.
class FileSource : public ByteSource {
 public:
  /// @throws IoError with path and the system's reason.
  explicit FileSource(const std::string& path, FileSystem& file_system = FileSystem::system());
  ~FileSource() override;
  std::shared_ptr<const std::byte> block() const override;

 protected:
  void read_range(uint64_t offset, std::span<std::byte> out) const override;

 private:
  FileSystem* file_system_;
  int descriptor_ = -1;
};

/// Bytes in memory.
class MemorySource : public ByteSource {
 public:
  MemorySource(std::vector<std::byte> bytes, std::string name);
  std::shared_ptr<const std::byte> block() const override;

 protected:
  void read_range(uint64_t offset, std::span<std::byte> out) const override;

 private:
  std::shared_ptr<const std::vector<std::byte>> bytes_;
};

}  // namespace linnet

#pragma GCC visibility pop
