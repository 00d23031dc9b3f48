// Copies of words between strided operands, to places the device computes too, and fills.
#include "kernels/cuda/copy/copy_args.h"
#include "kernels/cuda/copy/starts.cuh"
#include "kernels/cuda/device/index_space.h"

namespace linnet::cuda {

using Word1 = uint8_t;
using Word2 = uint16_t;
using Word4 = uint32_t;
using Word8 = uint64_t;
using Word16 = Pack<uint32_t, 4>;

template <class Word>
LINNET_DEVICE void copy_words(const IndexSpace<2>& space, const char* from, char* to) {
  constexpr int kWords = kCopyWords<sizeof(Word)>;
  const uint32_t first = static_cast<uint32_t>(block_x()) * (kCopyThreads * kWords) + thread();
  Word words[kWords];
  int64_t offsets[kWords][2];
  LINNET_UNROLL
  for (int i = 0; i < kWords; ++i) {
    const uint32_t at = first + i * kCopyThreads;
    // Those past the end read, but do not write, the first word.
    locate(space, at < space.count ? at : 0, offsets[i]);
    words[i] = load_pack<1>(reinterpret_cast<const Word*>(from + offsets[i][0]))[0];
  }
  LINNET_UNROLL
  for (int i = 0; i < kWords; ++i) {
    if (first + i * kCopyThreads >= space.count) continue;
    store_pack(reinterpret_cast<Word*>(to + offsets[i][1]), Pack<Word, 1>{{words[i]}});
  }
}

template <class Word>
LINNET_DEVICE void dynamic_copy(const DynamicCopyArgs& args) {
  const int64_t offset = start_offset(args);
  copy_words<Word>(args.space, args.x.get() + (args.moves_destination ? 0 : offset),
                   args.y.get() + (args.moves_destination ? offset : 0));
}

/// 16 bytes at a time; `y` is a multiple of an element only, so the first and last few go alone.
template <class Word>
LINNET_DEVICE void fill_words(const FillArgs& args) {
  constexpr int kCount = kPack<Word>;
  const Word word = args.zero ? Word{0} : *reinterpret_cast<const Word*>(args.x.get());
  Word* to = reinterpret_cast<Word*>(args.y.get());
  const int64_t misaligned = static_cast<int64_t>(args.y.word % 16 / sizeof(Word));
  const int64_t before = (kCount - misaligned) % kCount;
  const int64_t pack = int64_t{block_x()} * kCopyThreads + thread();
  const int64_t at = before + pack * kCount;
  if (at + kCount <= args.count) {
    Pack<Word, kCount> words;
    LINNET_UNROLL
    for (int i = 0; i < kCount; ++i) words[i] = word;
    store_pack(to + at, words);
  } else {
    for (int64_t i = at; i < args.count; ++i) to[i] = word;
  }
  if (pack == 0) {
    for (int64_t i = 0; i < before && i < args.count; ++i) to[i] = word;
  }
}

#define LINNET_COPY_KERNELS(bytes)                                     \
  LINNET_KERNEL(copy_##bytes, CopyArgs, kCopyThreads) {                \
    copy_words<Word##bytes>(args.space, args.x.get(), args.y.get());   \
  }                                                                    \
  LINNET_KERNEL(dynamic_copy_##bytes, DynamicCopyArgs, kCopyThreads) { \
    dynamic_copy<Word##bytes>(args);                                   \
  }
LINNET_COPY_KERNELS(1)
LINNET_COPY_KERNELS(2)
LINNET_COPY_KERNELS(4)
LINNET_COPY_KERNELS(8)
LINNET_COPY_KERNELS(16)

#define LINNET_FILL_KERNEL(bytes) \
  LINNET_KERNEL(fill_##bytes, FillArgs, kCopyThreads) { fill_words<Word##bytes>(args); }
LINNET_FILL_KERNEL(1)
LINNET_FILL_KERNEL(2)
LINNET_FILL_KERNEL(4)
LINNET_FILL_KERNEL(8)

}  // namespace linnet::cuda
