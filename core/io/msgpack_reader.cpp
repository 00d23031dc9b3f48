#include <bit>
#include <cstring>

#include "core/io/byte_order.h"
#include "core/io/msgpack_names.h"
#include "linnet/detail/format.h"
#include "linnet/io/msgpack.h"

namespace linnet {
namespace {

constexpr int kDepthLimit = 128;
constexpr size_t kRankLimit = 64;

/// Reads MessagePack values from a block; every length is checked against what is left before
/// anything is allocated for it.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name, size_t offset = 0)
      : bytes_(bytes), name_(name), offset_(offset) {}

  StateDict whole() {
    StateDict out = node(0);
    if (position_ != bytes_.size()) error("bytes after the value");
    return out;
  }

 private:
  enum class Kind { kNil, kBool, kInteger, kFloat, kText, kBytes, kList, kMap, kExtension };
  /// The first bytes of a value: its kind, and its number or length.
  struct Head {
    Kind kind;
    uint64_t number = 0;
    bool negative = false;
    int8_t extension = 0;
    double value = 0;
  };

  [[noreturn]] void error(const std::string& what) const {
    fail<IoError>("{}: {} at byte {}", name_, what, offset_ + position_);
  }

  StateDict node(int depth) {
    if (depth > kDepthLimit) error("values are nested too deep");
    const Head head = read_head();
    switch (head.kind) {
      case Kind::kNil:
        return StateDict::Value(std::monostate());
      case Kind::kBool:
        return StateDict::Value(head.number != 0);
      case Kind::kInteger:
        return StateDict::Value(integer(head));
      case Kind::kFloat:
        return StateDict::Value(head.value);
      case Kind::kText:
        return StateDict::Value(text(head.number));
      case Kind::kList:
        return list(head.number, depth);
      case Kind::kMap:
        return map(head.number, depth);
      case Kind::kExtension:
        return extension(head);
      case Kind::kBytes:
        break;
    }
    error("raw bytes outside of an array");
  }

  StateDict list(uint64_t count, int depth) {
    require(count, "list");
    StateDict out;
    for (uint64_t i = 0; i < count; ++i) out.entries().emplace(std::to_string(i), node(depth + 1));
    return out;
  }

  StateDict map(uint64_t count, int depth) {
    require(count, "map");
    StateDict out;
    for (uint64_t i = 0; i < count; ++i) {
      const Head key = read_head();
      if (key.kind != Kind::kText) error("a key that is no text");
      std::string name = text(key.number);
      StateDict entry = node(depth + 1);
      if (!out.entries().emplace(name, std::move(entry)).second) error("key '" + name + "' twice");
    }
    return out.contains(msgpack::kChunked) ? StateDict(unchunked(out)) : out;
  }

  StateDict extension(const Head& head) {
    const std::span<const std::byte> content = take(head.number);
    if (head.extension != msgpack::kArray && head.extension != msgpack::kScalar)
      error(head.extension == msgpack::kComplex
                ? "complex numbers have no element type here"
                : fmt::format("extension type {} is unknown", head.extension));
    Reader inner(content, name_, offset_ + position_ - content.size());
    return inner.array();
  }

  HostArray array() {
    if (const Head head = read_head(); head.kind != Kind::kList || head.number != 3)
      error("an array is no list of three");
    const Head rank = read_head();
    if (rank.kind != Kind::kList || rank.number > kRankLimit) error("a shape is no list of sizes");
    Shape shape;
    for (uint64_t i = 0; i < rank.number; ++i) {
      const Head size = read_head();
      if (size.kind != Kind::kInteger || size.negative) error("a size is no whole number");
      shape.push_back(integer(size));
    }
    const Head name = read_head();
    if (name.kind != Kind::kText && name.kind != Kind::kBytes) error("a dtype is no text");
    const DType dtype = dtype_named(text(name.number));
    const Head data = read_head();
    if (data.kind != Kind::kBytes) error("values are no bytes");
    const std::span<const std::byte> values = take(data.number);
    if (position_ != bytes_.size()) error("bytes after an array");
    return array_of(dtype, shape, values);
  }

  HostArray array_of(DType dtype, const Shape& shape, std::span<const std::byte> values) const {
    const std::optional<int64_t> size = checked_byte_size(shape, size_of(dtype));
    if (!size || static_cast<uint64_t>(*size) != values.size())
      error(fmt::format("{} bytes for {}{}", values.size(), name_of(dtype), to_string(shape)));
    if (dtype == DType::kBool) {
      for (const std::byte value : values) {
        if (value > std::byte{1}) error("a bool that is neither 0 nor 1");
      }
    }
    WritableHostArray out = allocate_host_array(dtype, shape);
    if (!values.empty()) std::memcpy(out.data, values.data(), values.size());
    if constexpr (std::endian::native == std::endian::big)
      swap_byte_order({out.data, values.size()}, size_of(dtype));
    return out.array;
  }

  /// `{"__msgpack_chunked_array__": true, "shape": {"0": ...}, "chunks": {"0": ...}}`.
  HostArray unchunked(const StateDict& map) const {
    if (!map.contains("shape") || !map.contains("chunks") || !map["shape"].is_map() ||
        !map["chunks"].is_map() || map["chunks"].entries().empty())
      error("a chunked array without shape or chunks");
    Shape shape;
    for (size_t i = 0; i < map["shape"].entries().size(); ++i) {
      const auto* size = map["shape"].contains(std::to_string(i))
                             ? std::get_if<int64_t>(&map["shape"][std::to_string(i)].value())
                             : nullptr;
      if (!size || *size < 0) error("the shape of a chunked array is no list of sizes");
      shape.push_back(*size);
    }
    std::vector<std::byte> values;
    std::optional<DType> dtype;
    for (size_t i = 0; i < map["chunks"].entries().size(); ++i) {
      const std::string key = std::to_string(i);
      if (!map["chunks"].contains(key) || !map["chunks"][key].is_array())
        error("the chunks of an array are no list of arrays");
      const HostArray chunk = map["chunks"][key].array();
      if (dtype && *dtype != chunk.dtype) error("the chunks of an array differ in type");
      dtype = chunk.dtype;
      values.insert(values.end(), chunk.bytes().begin(), chunk.bytes().end());
    }
    const std::optional<int64_t> size = checked_byte_size(shape, size_of(*dtype));
    if (!size || static_cast<uint64_t>(*size) != values.size())
      error("the chunks of an array do not fill its shape");
    return copy_host_array(*dtype, shape, values);
  }

  DType dtype_named(const std::string& name) const {
    for (const auto& [dtype, its_name] : msgpack::kNames) {
      if (its_name == name) return dtype;
    }
    error("element type '" + name + "' has no counterpart");
  }

  int64_t integer(const Head& head) const {
    if (!head.negative && head.number > static_cast<uint64_t>(INT64_MAX))
      error("a whole number beyond 63 bits");
    return static_cast<int64_t>(head.number);
  }

  std::string text(uint64_t length) {
    const std::span<const std::byte> content = take(length);
    return {reinterpret_cast<const char*>(content.data()), content.size()};
  }

  Head read_head() {
    const uint8_t mark = static_cast<uint8_t>(take(1)[0]);
    if (mark < 0x80) return {Kind::kInteger, mark};
    if (mark < 0x90) return {Kind::kMap, mark & 0x0Fu};
    if (mark < 0xA0) return {Kind::kList, mark & 0x0Fu};
    if (mark < 0xC0) return {Kind::kText, mark & 0x1Fu};
    if (mark >= 0xE0) return signed_number(mark, 1);
    return marked_head(mark);
  }

  Head marked_head(uint8_t mark) {
    if (mark == 0xC0) return {Kind::kNil};
    if (mark == 0xC2 || mark == 0xC3) return {Kind::kBool, mark & 1u};
    if (mark >= 0xC4 && mark <= 0xC6) return {Kind::kBytes, number(1 << (mark - 0xC4))};
    if (mark >= 0xC7 && mark <= 0xC9) return extension_head(number(1 << (mark - 0xC7)));
    if (mark == 0xCA) {
      const auto bits = static_cast<uint32_t>(number(4));
      return {.kind = Kind::kFloat, .value = std::bit_cast<float>(bits)};
    }
    if (mark == 0xCB) return {.kind = Kind::kFloat, .value = std::bit_cast<double>(number(8))};
    if (mark >= 0xCC && mark <= 0xCF) return {Kind::kInteger, number(1 << (mark - 0xCC))};
    if (mark >= 0xD0 && mark <= 0xD3) {
      const int width = 1 << (mark - 0xD0);
      return signed_number(number(width), width);
    }
    if (mark >= 0xD4 && mark <= 0xD8) return extension_head(uint64_t{1} << (mark - 0xD4));
    if (mark >= 0xD9 && mark <= 0xDB) return {Kind::kText, number(1 << (mark - 0xD9))};
    if (mark == 0xDC || mark == 0xDD) return {Kind::kList, number(mark == 0xDC ? 2 : 4)};
    if (mark == 0xDE || mark == 0xDF) return {Kind::kMap, number(mark == 0xDE ? 2 : 4)};
    error("a byte that begins no value");
  }

  Head extension_head(uint64_t length) {
    return {
        .kind = Kind::kExtension, .number = length, .extension = static_cast<int8_t>(take(1)[0])};
  }

  static Head signed_number(uint64_t bits, int width) {
    const int shift = 64 - 8 * width;
    const int64_t value = static_cast<int64_t>(bits << shift) >> shift;
    return {Kind::kInteger, static_cast<uint64_t>(value), value < 0};
  }

  uint64_t number(int width) {
    uint64_t out = 0;
    for (const std::byte byte : take(static_cast<uint64_t>(width)))
      out = out << 8 | static_cast<uint64_t>(byte);
    return out;
  }

  std::span<const std::byte> take(uint64_t count) {
    if (count > bytes_.size() - position_) error("the value ends early");
    const std::span<const std::byte> out = bytes_.subspan(position_, count);
    position_ += count;
    return out;
  }
  /// Every entry takes a byte at least.
  void require(uint64_t count, const char* what) const {
    if (count > bytes_.size() - position_) error(std::string("a ") + what + " ends early");
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t offset_, position_ = 0;
};

}  // namespace

StateDict msgpack_restore(std::span<const std::byte> bytes, const std::string& name) {
  return Reader(bytes, name).whole();
}

}  // namespace linnet
