// A boolean mask, with a bias, as one bias.
#include "kernels/cuda/attention/attention_args.h"
#include "kernels/cuda/device/index_space.h"
#include "kernels/cuda/device/wide.h"

namespace linnet::cuda {

/// What is below the bias of masked scores would overflow where that does not.
template <class T>
LINNET_DEVICE float finite_bias(const char* at) {
  const float bias = to_wide(*reinterpret_cast<const T*>(at));
  return bias < kMaskedBias ? kMaskedBias : bias;
}

template <class T, class Result>
LINNET_DEVICE void attention_bias(const AttentionBiasArgs& args) {
  const uint32_t first =
      static_cast<uint32_t>(block_x()) * (kBiasPerThread * kAttentionThreads) + thread();
  const bool has_bias = args.bias.word != 0;
  LINNET_UNROLL
  for (int i = 0; i < kBiasPerThread; ++i) {
    const uint32_t index = first + i * kAttentionThreads;
    if (index >= args.space.count) return;
    int64_t offsets[2];
    locate(args.space, index, offsets);
    float y = kMaskedBias;
    if (args.mask.get()[offsets[0]] != 0)
      y = has_bias ? finite_bias<T>(args.bias.get() + offsets[1]) : 0.0f;
    static_cast<Result*>(args.y.get())[index] = from_wide<Result>(y);
  }
}

#define X(name, dtype, T, Result) \
  LINNET_KERNEL(name, AttentionBiasArgs, kAttentionThreads) { attention_bias<T, Result>(args); }
LINNET_ATTENTION_BIAS_KERNELS(X)
#undef X

}  // namespace linnet::cuda
