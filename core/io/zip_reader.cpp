// After PKWARE's APPNOTE.TXT 6.3.
#include "zip_reader.h"

#include <algorithm>
#include <span>

#include "inflate_stream.h"
#include "linnet/error.h"
#include "linnet/io/checksum.h"
#include "zip_format.h"

namespace linnet {
namespace {

using Bytes = std::span<const std::byte>;

uint64_t number(Bytes bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint64_t>(bytes[at + i]);
  return value;
}

std::vector<std::byte> read_range(const ByteSource& source, uint64_t begin, uint64_t count) {
  std::vector<std::byte> bytes(static_cast<size_t>(count));
  source.read(begin, bytes);
  return bytes;
}

struct Directory {
  uint64_t entries, size, offset;
};

// The offset of the record that ends every zip file. A comment of up to 64 KiB may follow it.
uint64_t find_end_record(const ByteSource& source) {
  const uint64_t count = std::min<uint64_t>(source.size(), zip::kEndBytes + 0xFFFF);
  const std::vector<std::byte> tail = read_range(source, source.size() - count, count);
  for (size_t at = tail.size() - std::min<size_t>(tail.size(), zip::kEndBytes) + 1; at-- > 0;) {
    if (tail.size() - at < zip::kEndBytes || number(tail, at, 4) != zip::kEndMark) continue;
    if (number(tail, at + 20, 2) == tail.size() - at - zip::kEndBytes)
      return source.size() - count + at;
  }
  throw IoError(source.name() + ": not a zip file, or its end is missing");
}

// Fields of the end record that are full are in another one, which a locator before it points to.
Directory read_large_directory(const ByteSource& source, uint64_t end_record) {
  const auto fail = [&] {
    throw IoError(source.name() + ": the 64-bit directory of the zip file is damaged");
  };
  if (end_record < zip::kLocatorBytes) fail();
  const auto locator = read_range(source, end_record - zip::kLocatorBytes, zip::kLocatorBytes);
  const uint64_t at = number(locator, 8, 8);
  if (number(locator, 0, 4) != zip::kLocatorMark || at > end_record ||
      end_record - at < zip::kLargeEndBytes)
    fail();
  const auto record = read_range(source, at, zip::kLargeEndBytes);
  if (number(record, 0, 4) != zip::kLargeEndMark) fail();
  return {number(record, 32, 8), number(record, 40, 8), number(record, 48, 8)};
}

Directory read_directory(const ByteSource& source) {
  const uint64_t end_record = find_end_record(source);
  const auto record = read_range(source, end_record, zip::kEndBytes);
  const uint64_t disk = number(record, 4, 2);
  if (disk != 0 && disk != 0xFFFF) throw IoError(source.name() + ": a zip file of several volumes");
  Directory directory{number(record, 10, 2), number(record, 12, 4), number(record, 16, 4)};
  if (directory.entries == 0xFFFF || directory.size == zip::kFull || directory.offset == zip::kFull)
    directory = read_large_directory(source, end_record);
  if (directory.offset > end_record || directory.size > end_record - directory.offset ||
      directory.entries > directory.size / zip::kEntryBytes) {
    throw IoError(source.name() + ": the directory of the zip file does not fit into it");
  }
  return directory;
}

// 64-bit values of the fields that are full, in the order of the format.
void read_large_fields(Bytes extra, ZipMember& member, const std::string& name) {
  uint64_t* fields[] = {&member.size, &member.compressed_size, &member.local_header};
  while (extra.size() >= 4) {
    const uint64_t id = number(extra, 0, 2);
    const size_t count = static_cast<size_t>(number(extra, 2, 2));
    if (count > extra.size() - 4) break;
    Bytes values = extra.subspan(4, count);
    extra = extra.subspan(4 + count);
    if (id != zip::kLargeField) continue;
    for (uint64_t* field : fields) {
      if (*field != zip::kFull) continue;
      if (values.size() < 8) throw IoError(name + ": a 64-bit size is missing");
      *field = number(values, 0, 8);
      values = values.subspan(8);
    }
    return;
  }
}

}  // namespace

ZipReader::ZipReader(const ByteSource& source) : source_(source) {
  const Directory directory = read_directory(source);
  directory_ = directory.offset;
  const std::vector<std::byte> content = read_range(source, directory.offset, directory.size);
  Bytes rest = content;
  uint64_t left = directory.offset;  // bytes of the file that no member has claimed
  for (uint64_t i = 0; i < directory.entries; ++i) {
    const auto fail = [&](const char* reason) {
      throw IoError(source.name() + ": entry " + std::to_string(i) + " of the zip directory " +
                    reason);
    };
    if (rest.size() < zip::kEntryBytes || number(rest, 0, 4) != zip::kEntryMark) fail("is damaged");
    const size_t name_bytes = number(rest, 28, 2), extra_bytes = number(rest, 30, 2),
                 comment_bytes = number(rest, 32, 2);
    if (name_bytes + extra_bytes + comment_bytes > rest.size() - zip::kEntryBytes)
      fail("is truncated");
    ZipMember member;
    member.flags = static_cast<uint16_t>(number(rest, 8, 2));
    member.method = static_cast<uint16_t>(number(rest, 10, 2));
    member.checksum = static_cast<uint32_t>(number(rest, 16, 4));
    member.compressed_size = number(rest, 20, 4);
    member.size = number(rest, 24, 4);
    member.local_header = number(rest, 42, 4);
    member.name.assign(reinterpret_cast<const char*>(rest.data()) + zip::kEntryBytes, name_bytes);
    read_large_fields(rest.subspan(zip::kEntryBytes + name_bytes, extra_bytes), member,
                      source.name());
    if (member.compressed_size > left) fail("claims more bytes than the file has");
    left -= member.compressed_size;
    members_.push_back(std::move(member));
    rest = rest.subspan(zip::kEntryBytes + name_bytes + extra_bytes + comment_bytes);
  }
  if (!rest.empty()) {
    throw IoError(source.name() + ": the zip directory has " + std::to_string(rest.size()) +
                  " bytes behind its " + std::to_string(directory.entries) + " entries");
  }
}

uint64_t ZipReader::data_offset(const ZipMember& member) const {
  const auto fail = [&](const char* reason) {
    throw IoError(source_.name() + ": member \"" + member.name + "\" " + reason);
  };
  if (member.local_header > directory_ || directory_ - member.local_header < zip::kHeaderBytes)
    fail("is outside the file");
  const auto header = read_range(source_, member.local_header, zip::kHeaderBytes);
  const uint64_t name_bytes = number(header, 26, 2), extra_bytes = number(header, 28, 2);
  const uint64_t name_offset = member.local_header + zip::kHeaderBytes;
  if (number(header, 0, 4) != zip::kHeaderMark) fail("has a damaged header");
  if (name_bytes + extra_bytes > directory_ - name_offset) fail("is outside the file");
  const auto name = read_range(source_, name_offset, name_bytes);
  if (!std::ranges::equal(std::as_bytes(std::span(member.name)), name))
    fail("has another name in its header");
  const uint64_t offset = name_offset + name_bytes + extra_bytes;
  if (member.compressed_size > directory_ - offset) fail("is outside the file");
  return offset;
}

std::vector<std::byte> ZipReader::read(const ZipMember& member) const {
  const std::string where = source_.name() + ": member \"" + member.name + "\" ";
  if (member.flags & zip::kEncrypted) throw IoError(where + "is encrypted");
  const uint64_t offset = data_offset(member);
  std::vector<std::byte> content;
  if (member.method == zip::kStored) {
    if (member.size != member.compressed_size)
      throw IoError(where + "is stored, but its two sizes differ");
    content = read_range(source_, offset, member.size);
  } else if (member.method == zip::kDeflated) {
    if (member.size / kGreatestExpansion > member.compressed_size)
      throw IoError(where + "claims " + std::to_string(member.size) + " bytes, more than " +
                    std::to_string(member.compressed_size) + " can stand for");
    content.resize(static_cast<size_t>(member.size));
    InflateStream stream(source_, offset, member.compressed_size, InflateStream::Wrapper::kNone,
                         "deflated member");
    std::byte extra;
    if (stream.read(content) != content.size() || stream.read(std::span(&extra, 1)) != 0)
      throw IoError(where + "does not have the " + std::to_string(member.size) +
                    " bytes it claims");
  } else {
    throw IoError(where + "is compressed by method " + std::to_string(member.method) +
                  ", which is not supported");
  }
  const auto checksum = crc32(content);
  if (checksum != member.checksum) throw IoError(where + "is damaged: its checksum is wrong");
  return content;
}

}  // namespace linnet
