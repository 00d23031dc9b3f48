// Checksums that tell damaged or exchanged data from the data that were written.
//
//   uint32_t sum = crc32(array.bytes());
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#pragma GCC visibility push(default)

namespace linnet {

/// CRC-32 with the polynomial of ISO 3309 (gzip, PNG), over data given in pieces if `before` is the
/// sum of what came before. It finds accidents, not forgeries.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t before = 0);

/// The same with Castagnoli's polynomial (RFC 3720), which TFRecord files use.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace linnet

#pragma GCC visibility pop
