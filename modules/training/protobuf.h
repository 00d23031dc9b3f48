// The encoding of protocol buffers, as far as event files need it. Private.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace linnet::training::protobuf {

enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

/// Seven bits a byte, the lowest first.
inline void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
inline void append_key(std::string& out, int field, Wire wire) {
  append_varint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}
/// Little-endian bytes of an unsigned number.
template <class T>
void append_fixed(std::string& out, T bits) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(bits >> (8 * i)));
}

inline void append_integer(std::string& out, int field, int64_t value) {
  append_key(out, field, Wire::kVarint);
  append_varint(out, static_cast<uint64_t>(value));
}
inline void append_double(std::string& out, int field, double value) {
  append_key(out, field, Wire::kFixed64);
  append_fixed(out, std::bit_cast<uint64_t>(value));
}
inline void append_float(std::string& out, int field, float value) {
  append_key(out, field, Wire::kFixed32);
  append_fixed(out, std::bit_cast<uint32_t>(value));
}
/// A text, or a message within another.
inline void append_bytes(std::string& out, int field, std::string_view bytes) {
  append_key(out, field, Wire::kLength);
  append_varint(out, bytes.size());
  out.append(bytes);
}

}  // namespace linnet::training::protobuf
