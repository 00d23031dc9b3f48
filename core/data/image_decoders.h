// The libraries behind the two formats of pictures. Private.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace linnet::data {

struct Pixels {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgba;  // four bytes a pixel, row by row; alpha is not multiplied in
};

/// Called with the size that the file claims, before memory for it is requested; throws if it is
/// too large.
using SizeCheck = std::function<void(uint64_t height, uint64_t width)>;

/// @throws IoError "<name>: …" if the file is damaged or the library is not there.
Pixels decode_png(std::span<const std::byte> bytes, const SizeCheck& check,
                  const std::string& name);
Pixels decode_jpeg(std::span<const std::byte> bytes, const SizeCheck& check,
                   const std::string& name);

}  // namespace linnet::data
