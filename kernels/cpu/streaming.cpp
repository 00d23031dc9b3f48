#include "kernels/cpu/streaming.h"

#include <cstring>

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/streaming.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void StreamCopy(const void* from, void* to, size_t bytes) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  const uint8_t* source = static_cast<const uint8_t*>(from);
  uint8_t* target = static_cast<uint8_t*>(to);
  size_t i = 0;
  for (; i + lanes <= bytes; i += lanes) hn::Stream(hn::LoadU(d, source + i), d, target + i);
  std::memcpy(target + i, source + i, bytes - i);
}

void StreamFill(const void* word, size_t size, void* to, int64_t count) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d), bytes = static_cast<size_t>(count) * size;
  HWY_ALIGN uint8_t pattern[kStreamingAlignment];
  for (size_t i = 0; i < kStreamingAlignment; i += size) std::memcpy(pattern + i, word, size);
  uint8_t* target = static_cast<uint8_t*>(to);
  size_t head = -reinterpret_cast<uintptr_t>(to) % kStreamingAlignment;
  if (head > bytes) head = bytes;
  std::memcpy(target, pattern, head);
  const auto words = hn::LoadU(d, pattern);
  size_t i = head;
  for (; i + lanes <= bytes; i += lanes) hn::Stream(words, d, target + i);
  std::memcpy(target + i, pattern, bytes - i);
  hwy::FlushStream();
}

void FlushStreams() { hwy::FlushStream(); }

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(StreamCopy);
HWY_EXPORT(StreamFill);
HWY_EXPORT(FlushStreams);

void stream_copy(const void* from, void* to, size_t bytes) {
  HWY_DYNAMIC_DISPATCH(StreamCopy)(from, to, bytes);
}
void stream_fill(const void* word, size_t size, void* to, int64_t count) {
  HWY_DYNAMIC_DISPATCH(StreamFill)(word, size, to, count);
}
void flush_streams() { HWY_DYNAMIC_DISPATCH(FlushStreams)(); }

}  // namespace linnet::cpu
#endif  // HWY_ONCE
