// The bytes that a deflate stream inside a file stands for, from front to back. Private.
#pragma once

#include <zlib.h>

#include <span>
#include <vector>

#include "linnet/io/byte_source.h"

namespace linnet {

/// No deflate stream expands by more than this factor, so a larger claim is known to be false
/// before memory for it is requested.
inline constexpr uint64_t kGreatestExpansion = 1032;

class InflateStream {
 public:
  enum class Wrapper { kGzip, kNone };

  /// Of `bytes` bytes of the source from `begin` on, which hold one stream and nothing else.
  /// `what` is the name of the content in messages: "gzip data".
  InflateStream(const ByteSource& source, uint64_t begin, uint64_t bytes, Wrapper wrapper,
                const char* what);
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;
  ~InflateStream() { inflateEnd(&state_); }

  /// Fills `out` as far as bytes are left; returns their number.
  /// @throws IoError if the stream is damaged, does not reach its end, or is followed by more
  /// bytes.
  size_t read(std::span<std::byte> out);

 private:
  void inflate_some();
  void refill();

  const ByteSource& source_;
  uint64_t position_, end_;
  const char* what_;
  std::vector<std::byte> input_;
  z_stream state_{};
  bool is_finished_ = false;
};

}  // namespace linnet
