#include "linnet/data/text.h"

#include <algorithm>
#include <cstring>

#include "core/data/host_tensor.h"
#include "linnet/data/data_set.h"
#include "linnet/detail/format.h"
#include "linnet/io/byte_source.h"

namespace linnet::data {
namespace {

int32_t* integers(const WritableHostArray& array) { return reinterpret_cast<int32_t*>(array.data); }

}  // namespace

std::string read_text(const std::string& path, uint64_t byte_limit) {
  const FileSource source(path);
  if (source.size() > byte_limit) {
    fail<IoError>("{}: {} bytes of text, at most {} are read", path, source.size(), byte_limit);
  }
  std::string text(static_cast<size_t>(source.size()), '\0');
  source.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (end < text.size() && line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string> read_lines(const std::string& path, uint64_t byte_limit) {
  return split_lines(read_text(path, byte_limit));
}

TokenWindows::TokenWindows(std::vector<int32_t> tokens, int64_t length, int64_t stride)
    : tokens_(std::move(tokens)), length_(length), stride_(stride == 0 ? length : stride) {
  if (length < 1) fail<ValueError>("data::TokenWindows: length must be at least 1, got {}", length);
  if (stride < 0)
    fail<ValueError>("data::TokenWindows: stride must not be negative, got {}", stride);
  const int64_t count = static_cast<int64_t>(tokens_.size());
  if (count <= length) {
    fail<ValueError>("data::TokenWindows: {} tokens hold no window of {} and the token behind it",
                     count, length);
  }
  size_ = (count - length - 1) / stride_ + 1;
}

TokenBatch TokenWindows::gather(std::span<const int64_t> rows) const {
  detail::check_rows(rows, size_, "data::TokenWindows");
  const Shape shape{static_cast<int64_t>(rows.size()), length_};
  const WritableHostArray inputs = allocate_host_array(DType::kI32, shape);
  const WritableHostArray targets = allocate_host_array(DType::kI32, shape);
  const size_t length = static_cast<size_t>(length_), bytes = length * sizeof(int32_t);
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t* window = tokens_.data() + rows[i] * stride_;
    std::memcpy(integers(inputs) + i * length, window, bytes);
    std::memcpy(integers(targets) + i * length, window + 1, bytes);
  }
  return {host_tensor(inputs), host_tensor(targets)};
}

PaddedTokens pad_tokens(const std::vector<std::vector<int32_t>>& sequences, int32_t padding,
                        int64_t length) {
  if (length < 0) fail<ValueError>("data::pad_tokens: length must not be negative, got {}", length);
  size_t width = static_cast<size_t>(length);
  if (length == 0) {
    for (const auto& sequence : sequences) width = std::max(width, sequence.size());
  }
  const int64_t count = static_cast<int64_t>(sequences.size());
  const WritableHostArray tokens =
      allocate_host_array(DType::kI32, {count, static_cast<int64_t>(width)});
  const WritableHostArray lengths = allocate_host_array(DType::kI32, {count});
  std::fill_n(integers(tokens), sequences.size() * width, padding);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const size_t kept = std::min(width, sequences[i].size());
    std::copy_n(sequences[i].begin(), kept, integers(tokens) + i * width);
    integers(lengths)[i] = static_cast<int32_t>(kept);
  }
  return {host_tensor(tokens), host_tensor(lengths)};
}

}  // namespace linnet::data
