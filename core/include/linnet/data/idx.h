// Arrays in the IDX format of the MNIST family, plain or gzip-compressed.
//
//   HostArray images = read_idx("train-images-idx3-ubyte.gz");   // u8[60000,28,28]
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "linnet/io/host_array.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Limit on the size of the values of one IDX file, in bytes.
inline constexpr uint64_t kIdxByteLimit = uint64_t{4} << 30;

/// Reads an IDX file: two zero bytes, a type code (0x08 u8, 0x09 i8, 0x0B i16, 0x0C i32, 0x0D f32,
/// 0x0E f64), the number of dimensions (1 to 8), the sizes as big-endian u32, the values big-endian
/// and row-major. Compression is recognised by its first two bytes, not by the file name.
/// @throws IoError with path and reason if the magic number is wrong, if bytes are missing or left
/// over, if the checksum of the compression fails, or if the values exceed `byte_limit`.
HostArray read_idx(const std::string& path, uint64_t byte_limit = kIdxByteLimit);

/// The same for a file in memory; `name` begins the error messages.
HostArray parse_idx(std::vector<std::byte> bytes, const std::string& name = "IDX",
                    uint64_t byte_limit = kIdxByteLimit);

}  // namespace linnet

#pragma GCC visibility pop
