#include "linnet/detail/sha1.h"

#include <bit>
#include <vector>

namespace linnet {
namespace {

constexpr size_t kBlockBytes = 64;

// The message, a one bit, zeros, and the length in bits as a big-endian 64-bit number.
std::vector<uint8_t> padded(std::span<const uint8_t> message) {
  std::vector<uint8_t> bytes(message.begin(), message.end());
  bytes.push_back(0x80);
  while (bytes.size() % kBlockBytes != kBlockBytes - 8) bytes.push_back(0);
  const uint64_t bits = static_cast<uint64_t>(message.size()) * 8;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(bits >> shift));
  return bytes;
}

void add_block(const uint8_t* block, std::array<uint32_t, 5>& state) {
  uint32_t w[80];
  for (int t = 0; t < 16; ++t) {
    w[t] = uint32_t(block[4 * t]) << 24 | uint32_t(block[4 * t + 1]) << 16 |
           uint32_t(block[4 * t + 2]) << 8 | uint32_t(block[4 * t + 3]);
  }
  for (int t = 16; t < 80; ++t) w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);

  auto [a, b, c, d, e] = state;
  for (int t = 0; t < 80; ++t) {
    uint32_t mix;
    if (t < 20)
      mix = ((b & c) | (~b & d)) + 0x5A827999u;
    else if (t < 40)
      mix = (b ^ c ^ d) + 0x6ED9EBA1u;
    else if (t < 60)
      mix = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu;
    else
      mix = (b ^ c ^ d) + 0xCA62C1D6u;
    const uint32_t next = std::rotl(a, 5) + mix + e + w[t];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

}  // namespace

std::array<uint8_t, 20> sha1(std::span<const uint8_t> message) {
  std::array<uint32_t, 5> state{0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
  const std::vector<uint8_t> bytes = padded(message);
  for (size_t at = 0; at < bytes.size(); at += kBlockBytes) add_block(bytes.data() + at, state);
  std::array<uint8_t, 20> digest;
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

}  // namespace linnet
