// Reads scales and biases.
#pragma once

#include "kernels/cuda/device/wide.h"
#include "kernels/cuda/norm/parameter.h"

namespace linnet::cuda {

/// `width` numbers from `at`, widened. Addresses and `at` are multiples of 16 bytes, or width is 1.
template <class From, int width>
LINNET_DEVICE void load_widened(const void* data, int64_t at, Wide<From> (&out)[width]) {
  constexpr int kPart = width < kPack<From> ? width : kPack<From>;
  LINNET_UNROLL
  for (int i = 0; i < width; i += kPart) {
    const Pack<From, kPart> pack = load_pack<kPart>(static_cast<const From*>(data) + at + i);
    LINNET_UNROLL
    for (int j = 0; j < kPart; ++j) out[i + j] = to_wide(pack[j]);
  }
}

/// `absent` where there is no parameter.
template <class T, int width>
LINNET_DEVICE void load_parameter(const Global<const void>& data, ParameterKind kind, int64_t at,
                                  Wide<T> absent, Wide<T> (&out)[width]) {
  if (kind == ParameterKind::kWide) {
    load_widened<Wide<T>>(data.get(), at, out);
  } else if (kind == ParameterKind::kLikeX) {
    load_widened<T>(data.get(), at, out);
  } else {
    LINNET_UNROLL
    for (int j = 0; j < width; ++j) out[j] = absent;
  }
}

}  // namespace linnet::cuda
