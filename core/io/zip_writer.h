// Writes a zip file member by member. Private.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "zip_reader.h"

namespace linnet {

/// The same members give the same bytes: all are dated 1980-01-01.
class ZipWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  explicit ZipWriter(Sink sink) : sink_(std::move(sink)) {}

  /// @throws ValueError for names of more than 65535 bytes.
  void add(const std::string& name, std::span<const std::byte> content, bool compress);
  /// The directory. Nothing is added afterwards.
  void finish();

 private:
  void put(std::span<const std::byte> bytes);

  Sink sink_;
  uint64_t written_ = 0;
  std::vector<ZipMember> members_;
};

}  // namespace linnet
