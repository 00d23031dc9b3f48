#include "linnet/io/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "byte_order.h"
#include "linnet/error.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/byte_source.h"
#include "npy_header.h"

namespace linnet {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kHeaderLimit = 64 * 1024;
constexpr size_t kHeaderAlignment = 64;

struct NpyType {
  std::string_view code;  // kind and width, without byte order
  DType dtype;
};
constexpr NpyType kTypes[] = {
    {"b1", DType::kBool}, {"i1", DType::kI8},    {"i2", DType::kI16}, {"i4", DType::kI32},
    {"i8", DType::kI64},  {"u1", DType::kU8},    {"u2", DType::kU16}, {"u4", DType::kU32},
    {"u8", DType::kU64},  {"f2", DType::kF16},   {"f4", DType::kF32}, {"f8", DType::kF64},
    {"c8", DType::kC64},  {"c16", DType::kC128},
};

struct Element {
  DType dtype;
  bool is_big_endian;
};

const char* unsupported_kind(char kind) {
  switch (kind) {
    case 'O':
      return "Python objects, which are never loaded";
    case 'V':
      return "void or structured values (bf16 has no name in this format)";
    case 'c':
      return "complex numbers of a width that is not supported";
    case 'S':
    case 'U':
      return "text, which is not supported";
    case 'M':
    case 'm':
      return "dates, which are not supported";
    default:
      return "values of an unknown type";
  }
}

Element element_of(std::string_view descr, const std::string& name) {
  const bool has_order =
      !descr.empty() && std::string_view("<>=|").find(descr[0]) != std::string_view::npos;
  const char order = has_order ? descr[0] : '=';
  const std::string_view code = descr.substr(has_order ? 1 : 0);
  for (const NpyType& type : kTypes) {
    if (type.code != code) continue;
    if (order == '|' && size_of(type.dtype) > 1) {
      throw IoError(name + ": npy type \"" + std::string(descr) + "\" does not say its byte order");
    }
    return {type.dtype, order == '>'};
  }
  std::string shown(descr.substr(0, 20));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  throw IoError(name + ": npy type \"" + shown + "\": the file holds " +
                unsupported_kind(code.empty() ? '\0' : code[0]));
}

// Row-major copy of column-major values of `width` bytes each.
void transpose_copy(const std::byte* from, std::byte* to, const Shape& shape, size_t width) {
  const int64_t count = element_count(shape);
  Strides strides(shape.size());
  int64_t stride = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  Shape index(shape.size(), 0);
  int64_t source = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + static_cast<size_t>(i) * width, from + static_cast<size_t>(source) * width,
                width);
    for (size_t axis = shape.size(); axis-- > 0;) {
      source += strides[axis];
      if (++index[axis] < shape[axis]) break;
      source -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

struct Layout {
  uint64_t header_begin;
  uint64_t header_bytes;
};

Layout read_layout(const ByteSource& source) {
  std::array<std::byte, 12> start{};
  const size_t available = static_cast<size_t>(std::min<uint64_t>(source.size(), start.size()));
  source.read(0, std::span(start).first(available));
  if (available < 10 || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    throw IoError(source.name() + ": not a npy file (it must begin with \\x93NUMPY)");
  }
  const auto byte = [&](size_t i) { return static_cast<uint64_t>(start[i]); };
  const uint64_t version = byte(6);
  if (version < 1 || version > 3 || byte(7) != 0) {
    throw IoError(source.name() + ": npy version " + std::to_string(version) + "." +
                  std::to_string(byte(7)) + ", versions 1.0 to 3.0 are known");
  }
  Layout layout{version == 1 ? 10u : 12u, byte(8) | byte(9) << 8};
  if (version > 1) layout.header_bytes |= byte(10) << 16 | byte(11) << 24;
  if (layout.header_begin > source.size() ||
      layout.header_bytes > source.size() - layout.header_begin) {
    throw IoError(source.name() + ": npy header of " + std::to_string(layout.header_bytes) +
                  " bytes does not fit a file of " + std::to_string(source.size()));
  }
  if (layout.header_bytes > kHeaderLimit) {
    throw IoError(source.name() + ": npy header of " + std::to_string(layout.header_bytes) +
                  " bytes, at most " + std::to_string(kHeaderLimit) + " are read");
  }
  return layout;
}

HostArray read_values(const ByteSource& source, uint64_t begin, const npy::Header& header) {
  const Element element = element_of(header.descr, source.name());
  const std::optional<int64_t> bytes = checked_byte_size(header.shape, size_of(element.dtype));
  if (!bytes)
    throw IoError(source.name() + ": the size of shape " + to_string(header.shape) + " overflows");
  const uint64_t present = source.size() - begin;
  if (static_cast<uint64_t>(*bytes) != present) {
    throw IoError(
        source.name() + ": " + type_string(element.dtype, header.shape) + " needs " +
        std::to_string(*bytes) + " bytes of values, the file has " + std::to_string(present) +
        (present < static_cast<uint64_t>(*bytes) ? " (truncated)" : " (bytes left over)"));
  }
  WritableHostArray result = allocate_host_array(element.dtype, header.shape);
  const std::span<std::byte> values(result.data, static_cast<size_t>(*bytes));
  source.read(begin, values);
  if (element.is_big_endian) swap_byte_order(values, size_of(real_dtype_of(element.dtype)));
  if (element.dtype == DType::kBool &&
      std::any_of(values.begin(), values.end(),
                  [](std::byte value) { return value > std::byte{1}; })) {
    throw IoError(source.name() + ": a bool is neither 0 nor 1");
  }
  if (!header.is_column_major || header.shape.size() < 2) return std::move(result.array);
  WritableHostArray transposed = allocate_host_array(element.dtype, header.shape);
  transpose_copy(values.data(), transposed.data, header.shape, size_of(element.dtype));
  return std::move(transposed.array);
}

HostArray read_source(const ByteSource& source) {
  const Layout layout = read_layout(source);
  std::string text(static_cast<size_t>(layout.header_bytes), '\0');
  source.read(layout.header_begin, std::as_writable_bytes(std::span(text)));
  if (text.empty() || text.back() != '\n')
    throw IoError(source.name() + ": npy header does not end with a newline");
  const npy::Header header = npy::parse_header(text, source.name());
  return read_values(source, layout.header_begin + layout.header_bytes, header);
}

// Everything before the values.
std::string preamble(const HostArray& array) {
  std::string code;
  for (const NpyType& type : kTypes) {
    if (type.dtype == array.dtype) code = type.code;
  }
  if (code.empty()) {
    throw DTypeError("npy: the format has no name for " + std::string(name_of(array.dtype)) +
                     "; convert to f32 or write safetensors");
  }
  std::string dictionary = "{'descr': '" + std::string(size_of(array.dtype) == 1 ? "|" : "<") +
                           code + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < array.shape.size(); ++i) {
    dictionary += std::to_string(array.shape[i]);
    if (i + 1 < array.shape.size())
      dictionary += ", ";
    else if (i == 0)
      dictionary += ",";
  }
  dictionary += "), }";

  // Version 1 counts the header in 16 bits, which is enough for any rank that is read back.
  constexpr size_t kStart = 10;
  const size_t total =
      (kStart + dictionary.size() + 1 + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment;
  dictionary.resize(total - kStart - 1, ' ');
  dictionary += '\n';
  std::string result(kMagic);
  result += '\x01';
  result += '\x00';
  result += static_cast<char>(dictionary.size() & 0xFF);
  result += static_cast<char>(dictionary.size() >> 8);
  return result + dictionary;
}

void require_writable(const HostArray& array) {
  if (array.shape.size() <= npy::kRankLimit) return;
  throw ShapeError("npy: " + std::to_string(array.shape.size()) + " dimensions, at most " +
                   std::to_string(npy::kRankLimit) + " are written");
}

}  // namespace

HostArray read_npy(const std::string& path) { return read_source(FileSource(path)); }

HostArray parse_npy(std::vector<std::byte> bytes, const std::string& name) {
  return read_source(MemorySource(std::move(bytes), name));
}

std::vector<std::byte> npy_bytes(const HostArray& array) {
  require_writable(array);
  const std::string start = preamble(array);
  const auto start_bytes = std::as_bytes(std::span(start));
  std::vector<std::byte> result(start_bytes.begin(), start_bytes.end());
  result.insert(result.end(), array.bytes().begin(), array.bytes().end());
  return result;
}

void write_npy(const std::string& path, const HostArray& array) {
  require_writable(array);
  const std::string start = preamble(array);
  AtomicFile file(path);
  file.write(start);
  file.write(array.bytes());
  file.commit();
}

}  // namespace linnet
