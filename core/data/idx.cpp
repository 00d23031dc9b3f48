#include "linnet/data/idx.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "../io/byte_order.h"
#include "../io/inflate_stream.h"
#include "linnet/error.h"
#include "linnet/io/byte_source.h"

namespace linnet {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kRankLimit = 8;

// The bytes of the IDX content from front to back.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Fills `out` as far as bytes are left; returns their number.
  virtual size_t read(std::span<std::byte> out) = 0;
  /// No more than this many bytes can come in all.
  virtual uint64_t greatest_size() const = 0;
};

class PlainStream : public Stream {
 public:
  explicit PlainStream(const ByteSource& source) : source_(source) {}
  size_t read(std::span<std::byte> out) override {
    const uint64_t left = source_.size() - position_;
    const size_t count = static_cast<size_t>(std::min<uint64_t>(left, out.size()));
    source_.read(position_, out.first(count));
    position_ += count;
    return count;
  }
  uint64_t greatest_size() const override { return source_.size(); }

 private:
  const ByteSource& source_;
  uint64_t position_ = 0;
};

class GzipStream : public Stream {
 public:
  explicit GzipStream(const ByteSource& source)
      : source_(source),
        stream_(source, 0, source.size(), InflateStream::Wrapper::kGzip, "gzip data") {}
  size_t read(std::span<std::byte> out) override { return stream_.read(out); }
  uint64_t greatest_size() const override {
    return source_.size() > UINT64_MAX / kGreatestExpansion ? UINT64_MAX
                                                            : source_.size() * kGreatestExpansion;
  }

 private:
  const ByteSource& source_;
  InflateStream stream_;
};

DType dtype_of_code(uint8_t code, const std::string& name) {
  switch (code) {
    case 0x08:
      return DType::kU8;
    case 0x09:
      return DType::kI8;
    case 0x0B:
      return DType::kI16;
    case 0x0C:
      return DType::kI32;
    case 0x0D:
      return DType::kF32;
    case 0x0E:
      return DType::kF64;
    default:
      throw IoError(name + ": IDX type code " + std::to_string(code) + " is unknown");
  }
}

uint32_t big_endian(std::span<const std::byte, 4> bytes) {
  uint32_t value = 0;
  for (std::byte byte : bytes) value = value << 8 | static_cast<uint32_t>(byte);
  return value;
}

std::array<std::byte, 4> read_word(Stream& stream, const std::string& name) {
  std::array<std::byte, 4> word{};
  if (stream.read(word) != word.size()) throw IoError(name + ": truncated inside the IDX header");
  return word;
}

struct IdxHeader {
  DType dtype;
  Shape shape;
  uint64_t header_bytes;
};

IdxHeader read_header(Stream& stream, const std::string& name) {
  const std::array<std::byte, 4> magic = read_word(stream, name);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0}) {
    throw IoError(name + ": not an IDX file: magic number " + std::to_string(big_endian(magic)) +
                  ", expected two zero bytes, type code and rank");
  }
  IdxHeader header{dtype_of_code(static_cast<uint8_t>(magic[2]), name), {}, 0};
  const size_t rank = static_cast<size_t>(magic[3]);
  if (rank < 1 || rank > kRankLimit) {
    throw IoError(name + ": IDX rank " + std::to_string(rank) + ", expected 1 to " +
                  std::to_string(kRankLimit));
  }
  for (size_t i = 0; i < rank; ++i) header.shape.push_back(big_endian(read_word(stream, name)));
  header.header_bytes = 4 + 4 * rank;
  return header;
}

uint64_t value_bytes(const IdxHeader& header, const Stream& stream, const std::string& name,
                     uint64_t limit) {
  const std::string type = type_string(header.dtype, header.shape);
  const std::optional<int64_t> bytes = checked_byte_size(header.shape, size_of(header.dtype));
  if (!bytes) throw IoError(name + ": the size of " + type + " overflows");
  const uint64_t needed = static_cast<uint64_t>(*bytes);
  if (needed > limit) {
    throw IoError(name + ": " + type + " needs " + std::to_string(needed) + " bytes, at most " +
                  std::to_string(limit) + " are read");
  }
  if (needed + header.header_bytes > stream.greatest_size()) {
    throw IoError(name + ": truncated: the header promises " + type + ", which is " +
                  std::to_string(needed) + " bytes, more than the file can hold");
  }
  return needed;
}

HostArray read_stream(Stream& stream, const std::string& name, uint64_t limit) {
  const IdxHeader header = read_header(stream, name);
  const uint64_t bytes = value_bytes(header, stream, name, limit);
  WritableHostArray result = allocate_host_array(header.dtype, header.shape);
  const std::span<std::byte> values(result.data, static_cast<size_t>(bytes));
  const size_t got = stream.read(values);
  if (got != values.size()) {
    throw IoError(name + ": truncated: the header promises " +
                  type_string(header.dtype, header.shape) + ", which is " + std::to_string(bytes) +
                  " bytes, the file has " + std::to_string(got));
  }
  // Also makes the decompressor reach the checksum at the end.
  std::array<std::byte, 1> extra;
  if (stream.read(extra) != 0) {
    throw IoError(name + ": bytes left over after " + type_string(header.dtype, header.shape));
  }
  swap_byte_order(values, size_of(header.dtype));
  return std::move(result.array);
}

HostArray read_source(const ByteSource& source, uint64_t limit) {
  std::array<std::byte, 2> start{};
  if (source.size() >= start.size()) source.read(0, start);
  if (start[0] == std::byte{0x1F} && start[1] == std::byte{0x8B}) {
    GzipStream stream(source);
    return read_stream(stream, source.name(), limit);
  }
  PlainStream stream(source);
  return read_stream(stream, source.name(), limit);
}

}  // namespace

HostArray read_idx(const std::string& path, uint64_t byte_limit) {
  return read_source(FileSource(path), byte_limit);
}

HostArray parse_idx(std::vector<std::byte> bytes, const std::string& name, uint64_t byte_limit) {
  return read_source(MemorySource(std::move(bytes), name), byte_limit);
}

}  // namespace linnet
