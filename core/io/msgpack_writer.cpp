#include <bit>
#include <limits>

#include "core/io/byte_order.h"
#include "core/io/msgpack_names.h"
#include "linnet/detail/format.h"
#include "linnet/io/msgpack.h"

namespace linnet {
namespace {

/// Appends MessagePack values in their shortest form
/// (https://github.com/msgpack/msgpack/blob/master/spec.md).
class Writer {
 public:
  explicit Writer(const MsgpackOptions& options) : options_(options) {}

  void node(const StateDict& node) {
    std::visit([&](const auto& value) { write(value); }, node.value());
  }
  std::vector<std::byte> bytes;

 private:
  void write(const StateDict::Map& map) {
    header(map.size(), {0x80, 15, 0, 0xDE, 0xDF});
    for (const auto& [name, entry] : map) {
      write(name);
      node(entry);
    }
  }
  void write(std::monostate) { put(0xC0); }
  void write(bool value) { put(value ? 0xC3 : 0xC2); }
  void write(int64_t value) {
    if (value >= 0) return write_unsigned(static_cast<uint64_t>(value));
    if (value >= -32) return put(static_cast<uint8_t>(value));
    const uint64_t bits = static_cast<uint64_t>(value);
    if (value >= std::numeric_limits<int8_t>::min()) return number(0xD0, bits, 1);
    if (value >= std::numeric_limits<int16_t>::min()) return number(0xD1, bits, 2);
    if (value >= std::numeric_limits<int32_t>::min()) return number(0xD2, bits, 4);
    number(0xD3, bits, 8);
  }
  void write_unsigned(uint64_t value) {
    if (value < 0x80) return put(static_cast<uint8_t>(value));
    if (value <= 0xFF) return number(0xCC, value, 1);
    if (value <= 0xFFFF) return number(0xCD, value, 2);
    if (value <= 0xFFFFFFFF) return number(0xCE, value, 4);
    number(0xCF, value, 8);
  }
  void write(double value) { number(0xCB, std::bit_cast<uint64_t>(value), 8); }
  void write(const std::string& text) {
    header(text.size(), {0xA0, 31, 0xD9, 0xDA, 0xDB});
    append(std::as_bytes(std::span(text)));
  }
  void write(const HostArray& array) {
    if (array.byte_size() > options_.max_chunk_bytes) return write_chunked(array);
    Writer content(options_);
    content.header(3, {0x90, 15, 0, 0xDC, 0xDD});
    content.header(array.shape.size(), {0x90, 15, 0, 0xDC, 0xDD});
    for (const int64_t size : array.shape) content.write(size);
    content.write(std::string(msgpack::kNames[static_cast<size_t>(array.dtype)].second));
    content.header(array.byte_size(), {0, 0, 0xC4, 0xC5, 0xC6});
    const size_t begin = content.bytes.size();
    content.append(array.bytes());
    if constexpr (std::endian::native == std::endian::big)
      swap_byte_order(std::span(content.bytes).subspan(begin), size_of(array.dtype));
    extension(content.bytes);
  }
  void write_chunked(const HostArray& array) {
    const size_t width = size_of(array.dtype);
    const auto step = static_cast<int64_t>(std::max<size_t>(1, options_.max_chunk_bytes / width));
    StateDict shape, chunks;
    for (size_t i = 0; i < array.shape.size(); ++i)
      shape.entries().emplace(std::to_string(i), StateDict::Value(array.shape[i]));
    for (int64_t at = 0, i = 0; at < array.size(); at += step, ++i) {
      HostArray chunk = array;
      chunk.shape = {std::min(step, array.size() - at)};
      chunk.data = array.data + static_cast<size_t>(at) * width;
      chunks.entries().emplace(std::to_string(i), std::move(chunk));
    }
    node(StateDict{{std::string(msgpack::kChunked), StateDict::Value(true)},
                   {"chunks", std::move(chunks)},
                   {"shape", std::move(shape)}});
  }

  void extension(const std::vector<std::byte>& content) {
    const size_t size = content.size();
    constexpr size_t kFixed[] = {1, 2, 4, 8, 16};
    bool fixed = false;
    for (uint8_t i = 0; i < 5 && !fixed; ++i) {
      fixed = size == kFixed[i];
      if (fixed) put(static_cast<uint8_t>(0xD4 + i));
    }
    if (!fixed) header(size, {0, 0, 0xC7, 0xC8, 0xC9});
    put(msgpack::kArray);
    append(content);
  }

  /// First bytes of a kind of value: `small` plus a length below `limit`, and those before a length
  /// of one, two and four bytes (0: there is no such form).
  struct Marks {
    uint8_t small, limit, one, two, four;
  };
  void header(size_t length, Marks marks) {
    if (marks.small && length <= marks.limit)
      return put(static_cast<uint8_t>(marks.small + length));
    if (marks.one && length <= 0xFF) return number(marks.one, length, 1);
    if (length <= 0xFFFF) return number(marks.two, length, 2);
    if (length > 0xFFFFFFFF)
      fail<ValueError>("msgpack: {} bytes or entries in one value; at most 2^32 - 1 fit", length);
    number(marks.four, length, 4);
  }
  void number(uint8_t mark, uint64_t value, int width) {
    put(mark);
    for (int i = width - 1; i >= 0; --i) put(static_cast<uint8_t>(value >> (8 * i)));
  }
  void put(uint8_t byte) { bytes.push_back(static_cast<std::byte>(byte)); }
  void append(std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  }

  const MsgpackOptions& options_;
};

}  // namespace

std::vector<std::byte> msgpack_serialize(const StateDict& state, const MsgpackOptions& options) {
  Writer writer(options);
  writer.node(state);
  return std::move(writer.bytes);
}

}  // namespace linnet
