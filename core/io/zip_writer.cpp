#include "zip_writer.h"

#include <zlib.h>

#include <algorithm>
#include <new>

#include "linnet/error.h"
#include "linnet/io/checksum.h"
#include "zip_format.h"

namespace linnet {
namespace {

constexpr uint16_t kVersion = 20, kLargeVersion = 45;
constexpr uint16_t kFirstDay = 1 << 5 | 1;  // 1980-01-01

// A record in the making: numbers of 2, 4 or 8 bytes, least significant first.
class Record {
 public:
  Record& add(uint64_t value, size_t width) {
    for (size_t i = 0; i < width; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  /// Four bytes, which are full if the number needs more.
  Record& add_small(uint64_t value) { return add(std::min(value, zip::kFull), 4); }
  Record& add(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

bool is_large(uint64_t value) { return value >= zip::kFull; }

// The extra field for those of the numbers that are large.
Record large_field(std::initializer_list<uint64_t> numbers) {
  Record values;
  for (uint64_t value : numbers)
    if (is_large(value)) values.add(value, 8);
  Record field;
  if (!values.bytes().empty())
    field.add(zip::kLargeField, 2).add(values.bytes().size(), 2).add(values.bytes());
  return field;
}

std::vector<std::byte> deflated(std::span<const std::byte> content) {
  z_stream state{};
  constexpr int kMemoryLevel = 8;  // zlib's default
  if (deflateInit2(&state, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  const struct End {
    z_stream& state;
    ~End() { deflateEnd(&state); }
  } end{state};
  std::vector<std::byte> out;
  std::vector<std::byte> chunk(1 << 18);
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    constexpr size_t kInputBytes = size_t{1} << 30;
    if (state.avail_in == 0) {
      const size_t count = std::min(content.size(), kInputBytes);
      state.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(content.data()));
      state.avail_in = static_cast<uInt>(count);
      content = content.subspan(count);
    }
    state.next_out = reinterpret_cast<Bytef*>(chunk.data());
    state.avail_out = static_cast<uInt>(chunk.size());
    status = deflate(&state, content.empty() ? Z_FINISH : Z_NO_FLUSH);
    out.insert(out.end(), chunk.begin(),
               chunk.end() - static_cast<std::ptrdiff_t>(state.avail_out));
  }
  return out;
}

bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// The fields that a member's header and its directory entry have in common.
void add_common(Record& record, const ZipMember& member) {
  const bool large =
      is_large(member.size) || is_large(member.compressed_size) || is_large(member.local_header);
  record.add(large ? kLargeVersion : kVersion, 2)
      .add(member.flags, 2)
      .add(member.method, 2)
      .add(0, 2)
      .add(kFirstDay, 2)
      .add(member.checksum, 4)
      .add_small(member.compressed_size)
      .add_small(member.size)
      .add(member.name.size(), 2);
}

std::span<const std::byte> name_of(const ZipMember& member) {
  return std::as_bytes(std::span(member.name));
}

}  // namespace

void ZipWriter::put(std::span<const std::byte> bytes) {
  sink_(bytes);
  written_ += bytes.size();
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> content, bool compress) {
  if (name.size() > 0xFFFF)
    throw ValueError("zip: a name of " + std::to_string(name.size()) +
                     " bytes, at most 65535 are written");
  std::vector<std::byte> packed;
  if (compress) packed = deflated(content);
  const std::span<const std::byte> bytes = compress ? std::span<const std::byte>(packed) : content;
  ZipMember member;
  member.name = name;
  member.size = content.size();
  member.compressed_size = bytes.size();
  member.local_header = written_;
  member.checksum = crc32(content);
  member.method = compress ? zip::kDeflated : zip::kStored;
  member.flags = is_ascii(name) ? 0 : zip::kUtf8Name;

  // In this record the format wants both sizes in the extra field if one is large.
  Record extra;
  ZipMember shown = member;
  shown.local_header = 0;
  if (is_large(member.size) || is_large(member.compressed_size)) {
    extra.add(zip::kLargeField, 2).add(16, 2).add(member.size, 8).add(member.compressed_size, 8);
    shown.size = shown.compressed_size = zip::kFull;
  }
  Record header;
  header.add(zip::kHeaderMark, 4);
  add_common(header, shown);
  header.add(extra.bytes().size(), 2).add(name_of(member)).add(extra.bytes());
  put(header.bytes());
  put(bytes);
  members_.push_back(std::move(member));
}

void ZipWriter::finish() {
  const uint64_t directory = written_;
  for (const ZipMember& member : members_) {
    const Record extra = large_field({member.size, member.compressed_size, member.local_header});
    Record entry;
    entry.add(zip::kEntryMark, 4).add(kLargeVersion, 2);
    add_common(entry, member);
    // No comment, first volume, no attributes.
    entry.add(extra.bytes().size(), 2).add(0, 2).add(0, 2).add(0, 2).add(0, 4);
    entry.add_small(member.local_header).add(name_of(member)).add(extra.bytes());
    put(entry.bytes());
  }
  const uint64_t size = written_ - directory, end = written_, count = members_.size();
  Record record;
  if (count >= 0xFFFF || is_large(size) || is_large(directory)) {
    // The record counts the bytes after its first twelve.
    record.add(zip::kLargeEndMark, 4).add(zip::kLargeEndBytes - 12, 8);
    record.add(kLargeVersion, 2).add(kLargeVersion, 2).add(0, 4).add(0, 4);
    record.add(count, 8).add(count, 8).add(size, 8).add(directory, 8);
    record.add(zip::kLocatorMark, 4).add(0, 4).add(end, 8).add(1, 4);
  }
  const uint64_t shown = std::min<uint64_t>(count, 0xFFFF);
  record.add(zip::kEndMark, 4).add(0, 2).add(0, 2).add(shown, 2).add(shown, 2);
  record.add_small(size).add_small(directory).add(0, 2);
  put(record.bytes());
}

}  // namespace linnet
