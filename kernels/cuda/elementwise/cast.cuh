// Conversions, by the rules of kernels/scalar/convert_inl.h: the results are the processor's bit
// for bit.
#pragma once

#include "kernels/cuda/elementwise/pointwise.cuh"

namespace linnet::cuda {

/// A number as it is before it is stored as S.
template <class S, class V>
LINNET_DEVICE auto converted(V x) {
  if constexpr (std::is_same_v<S, Bool>) {
    return scalar::convert<bool>(x);
  } else if constexpr (std::is_same_v<S, Half> || std::is_same_v<S, Bf16>) {
    return scalar::convert_for_half(x);
  } else {
    return scalar::convert<S>(x);
  }
}

template <class S, class Place, class V, int N>
LINNET_DEVICE void store_converted(const Place& place, char* to, const V (&x)[N]) {
  decltype(converted<S>(x[0])) y[N];
  LINNET_UNROLL
  for (int i = 0; i < N; ++i) y[i] = converted<S>(x[i]);
  place.template store<S>(to, y);
}

/// f(S{}) for the type in memory with this number, a DType.
#define LINNET_FOR_STORAGE(number, S, ...) \
  switch (static_cast<DType>(number)) {    \
    case DType::kBool: {                   \
      using S = Bool;                      \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kI8: {                     \
      using S = int8_t;                    \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kI16: {                    \
      using S = int16_t;                   \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kI32: {                    \
      using S = int32_t;                   \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kI64: {                    \
      using S = int64_t;                   \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kU8: {                     \
      using S = uint8_t;                   \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kU16: {                    \
      using S = uint16_t;                  \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kU32: {                    \
      using S = uint32_t;                  \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kU64: {                    \
      using S = uint64_t;                  \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kF16: {                    \
      using S = Half;                      \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kBF16: {                   \
      using S = Bf16;                      \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kF32: {                    \
      using S = float;                     \
      __VA_ARGS__;                         \
    } break;                               \
    case DType::kF64: {                    \
      using S = double;                    \
      __VA_ARGS__;                         \
    } break;                               \
  }

template <class Place, class V, int N, class... From>
LINNET_DEVICE void cast(const PointwiseArgs<1>& args) {
  const Place place(args);
  if (place.count == 0) return;
  V x[1][N];
  ((args.storage == static_cast<int>(kDTypeOf<From>) ? load<From>(place, args, x) : void()), ...);
  char* to = args.y.get();
  LINNET_FOR_STORAGE(args.to, S, store_converted<S>(place, to, x[0]))
}

}  // namespace linnet::cuda
