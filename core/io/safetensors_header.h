// The JSON header of a safetensors file, parsed and checked. Private.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "linnet/dtype.h"
#include "linnet/io/safetensors.h"

namespace linnet::safetensors {

inline constexpr uint64_t kHeaderLimit = 100'000'000;
inline constexpr size_t kRankLimit = 64;
inline constexpr std::string_view kMetadataKey = "__metadata__";

/// An element type of the format; the order of the table is that of alignment in written files.
struct ElementType {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;  ///< empty if Linnet has no such type
};
const ElementType* find_element_type(std::string_view name);
const ElementType& element_type_of(DType dtype);
/// Position in the format's table, the first key of the order of written values.
int order_of(const ElementType& type);

struct Header {
  std::map<std::string, SafetensorsEntry, std::less<>> entries;
  std::map<std::string, std::string> metadata;
};

/// Parses `text` and checks it against `value_bytes`, the number of bytes behind it in the file.
/// @throws IoError beginning with `name`.
Header parse_header(std::string_view text, uint64_t value_bytes, const std::string& name);

}  // namespace linnet::safetensors
