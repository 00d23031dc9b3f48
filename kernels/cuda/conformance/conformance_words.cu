#include "kernels/cuda/conformance/conformance_args.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/device/types.h"

namespace linnet::cuda {
namespace {

LINNET_DEVICE unsigned bits(float x) { return __builtin_bit_cast(unsigned, x); }

/// Copies `count` values, N at once; those that are left one by one.
template <int N, class T>
LINNET_DEVICE void copy_packs(const unsigned* in, unsigned* out, int count) {
  const T* from = reinterpret_cast<const T*>(in);
  T* to = reinterpret_cast<T*>(out);
  for (int i = thread() * N; i + N <= count; i += block_threads() * N) {
    Pack<T, N> pack = load_pack<N>(from + i);
    const T first = pack[0];
    pack[0] = pack[N - 1];  // so that members are where they should be
    pack[N - 1] = first;
    store_pack(to + i, pack);
  }
}

}  // namespace

LINNET_KERNEL(conformance_packs, ConformanceArgs, 64) {
  const unsigned* in = args.in.get();
  unsigned* out = args.out.get();
  const int words = args.count;
  copy_packs<kPack<float>, float>(in, out, words);
  copy_packs<2, float>(in, out + words, words);
  copy_packs<kPack<Bf16>, Bf16>(in, out + 2 * words, 2 * words);
  copy_packs<4, Half>(in, out + 3 * words, 2 * words);
  copy_packs<16, unsigned char>(in, out + 4 * words, 4 * words);
  copy_packs<2, double>(in, out + 5 * words, words / 2);
}

LINNET_KERNEL(conformance_read_only, ConformanceArgs, 64) {
  unsigned* out = args.out.get();
  for (int i = thread(); i < args.count; i += 64) {
    const unsigned* in = args.in.get() + i / 4 * 4;
    const auto sixteen = load_read_only(reinterpret_cast<const Pack<float, 4>*>(in));
    const auto eight = load_read_only(reinterpret_cast<const double*>(in) + 1);
    const Bf16 two = load_read_only(reinterpret_cast<const Bf16*>(in) + i % 8);
    const auto one = load_read_only(reinterpret_cast<const unsigned char*>(in) + i % 16);
    out[5 * i] = bits(sixteen[i % 4]);
    out[5 * i + 1] = static_cast<unsigned>(__builtin_bit_cast(unsigned long long, eight) >> 32);
    out[5 * i + 2] = two.word;
    out[5 * i + 3] = one;
    out[5 * i + 4] = load_read_only(in + i % 4);
  }
}

LINNET_KERNEL(conformance_bits, ConformanceArgs, 64) {
  for (int i = thread(); i < args.count; i += 64) {
    const unsigned a = args.in.get()[i], b = args.in.get()[(i + 1) % args.count];
    unsigned* out = args.out.get() + 3 * i;
    out[0] = multiply_high(a, b);
    out[1] = static_cast<unsigned>(leading_zeros(a));
    out[2] = static_cast<unsigned>(count_bits(a));
  }
}

LINNET_KERNEL(conformance_approximations, ConformanceArgs, 64) {
  for (int i = block_x() * 64 + thread(); i < args.count; i += blocks_x() * 64) {
    const float x = __builtin_bit_cast(float, args.in.get()[i]);
    unsigned* out = args.out.get() + 3 * i;
    out[0] = bits(exp2_approximate(x));
    out[1] = bits(reciprocal_approximate(x));
    out[2] = bits(reciprocal_sqrt_approximate(x));
  }
}

// All numbers of 16 bits.
LINNET_KERNEL(conformance_to_float, ConformanceArgs, 256) {
  const int i = block_x() * 256 + thread();
  args.out.get()[i] = bits(to_float(Bf16{static_cast<unsigned short>(i)}));
  args.out.get()[65536 + i] = bits(to_float(Half{static_cast<unsigned short>(i)}));
}

LINNET_KERNEL(conformance_from_float, ConformanceArgs, 256) {
  for (int i = block_x() * 256 + thread(); i < args.count; i += blocks_x() * 256) {
    const float x = __builtin_bit_cast(float, args.in.get()[i]);
    args.out.get()[i] = from_float<Bf16>(x).word | unsigned{from_float<Half>(x).word} << 16;
  }
}

}  // namespace linnet::cuda
