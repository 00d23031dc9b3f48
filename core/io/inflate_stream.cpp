#include "inflate_stream.h"

#include <algorithm>
#include <new>
#include <string>

#include "linnet/error.h"

namespace linnet {

constexpr size_t kInputBytes = 1 << 18;

InflateStream::InflateStream(const ByteSource& source, uint64_t begin, uint64_t bytes,
                             Wrapper wrapper, const char* what)
    : source_(source), position_(begin), end_(begin + bytes), what_(what), input_(kInputBytes) {
  // 16 selects the gzip wrapper with its checksum, a negative number none.
  const int window = wrapper == Wrapper::kGzip ? 16 + MAX_WBITS : -MAX_WBITS;
  if (inflateInit2(&state_, window) != Z_OK) throw std::bad_alloc();
}

size_t InflateStream::read(std::span<std::byte> out) {
  size_t filled = 0;
  while (filled < out.size() && !is_finished_) {
    constexpr size_t kChunk = size_t{1} << 30;
    const size_t room = std::min(out.size() - filled, kChunk);
    state_.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
    state_.avail_out = static_cast<uInt>(room);
    inflate_some();
    filled += room - state_.avail_out;
  }
  return filled;
}

void InflateStream::inflate_some() {
  if (state_.avail_in == 0) refill();
  const int status = inflate(&state_, Z_NO_FLUSH);
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status == Z_STREAM_END) {
    is_finished_ = true;
    if (state_.avail_in > 0 || position_ < end_) {
      throw IoError(source_.name() + ": bytes left over after the end of the " + what_);
    }
  } else if (status != Z_OK && status != Z_BUF_ERROR) {
    throw IoError(source_.name() + ": damaged " + what_ + ": " +
                  (state_.msg ? state_.msg : "unknown reason"));
  }
}

void InflateStream::refill() {
  const uint64_t left = end_ - position_;
  if (left == 0)
    throw IoError(source_.name() + ": truncated: the " + what_ + " does not reach its end");
  const size_t count = static_cast<size_t>(std::min<uint64_t>(left, input_.size()));
  source_.read(position_, std::span(input_).first(count));
  position_ += count;
  state_.next_in = reinterpret_cast<Bytef*>(input_.data());
  state_.avail_in = static_cast<uInt>(count);
}

}  // namespace linnet
