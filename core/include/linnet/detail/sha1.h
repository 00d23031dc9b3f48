// SHA-1, which names of modules are hashed with to derive their random keys. Not for security.
//
//   std::array<uint8_t, 20> digest = sha1(bytes);
#pragma once

#include <array>
#include <cstdint>
#include <span>

#pragma GCC visibility push(default)

namespace linnet {

/// The SHA-1 digest of a message (FIPS 180-4).
std::array<uint8_t, 20> sha1(std::span<const uint8_t> message);

}  // namespace linnet

#pragma GCC visibility pop
