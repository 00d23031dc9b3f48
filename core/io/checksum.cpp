#include "linnet/io/checksum.h"

#include <zlib.h>

#include <array>

namespace linnet {
namespace {

// Remainders of all bytes, with the polynomial 0x1EDC6F41 in reverse order of bits.
constexpr std::array<uint32_t, 256> castagnoli_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit)
      remainder = (remainder >> 1) ^ (remainder & 1 ? 0x82F63B78u : 0u);
    table[byte] = remainder;
  }
  return table;
}

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t before) {
  return static_cast<uint32_t>(
      ::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before) {
  static constexpr std::array<uint32_t, 256> kTable = castagnoli_table();
  uint32_t sum = ~before;
  for (const std::byte byte : bytes)
    sum = (sum >> 8) ^ kTable[(sum ^ std::to_integer<uint32_t>(byte)) & 0xFF];
  return ~sum;
}

}  // namespace linnet
