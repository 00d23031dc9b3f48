// The members of a zip file, as npz files need them: stored or deflated, with 64-bit sizes.
// Private.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "linnet/io/byte_source.h"

namespace linnet {

struct ZipMember {
  std::string name;
  uint64_t size = 0;             ///< of the content
  uint64_t compressed_size = 0;  ///< of its bytes in the file
  uint64_t local_header = 0;     ///< offset
  uint32_t checksum = 0;
  uint16_t method = 0;
  uint16_t flags = 0;
};

/// The directory at the end of a zip file. Sizes are checked against the file before memory for
/// them is requested: no member is outside the file, and all together have no more compressed bytes
/// than the file.
class ZipReader {
 public:
  /// @throws IoError if the source is no zip file, is cut, or has several volumes. `source` must
  /// outlive this.
  explicit ZipReader(const ByteSource& source);
  const std::vector<ZipMember>& members() const { return members_; }
  /// The content of a member, checked by its checksum.
  /// @throws IoError if it is damaged, encrypted, or compressed by another method than deflate.
  std::vector<std::byte> read(const ZipMember& member) const;

 private:
  uint64_t data_offset(const ZipMember& member) const;

  const ByteSource& source_;
  uint64_t directory_ = 0;  // where the members end
  std::vector<ZipMember> members_;
};

}  // namespace linnet
