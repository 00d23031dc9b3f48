// Kernels of random numbers.
#include "core/ops/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/cpu/linalg/factor.h"
#include "kernels/cpu/random/rejection.h"
#include "kernels/cpu/random/samplers.h"
#include "kernels/cpu/random/threefry.h"
#include "kernels/cpu/register/families.h"
#include "linnet/parallel.h"

namespace linnet {
namespace {

cpu::KeyLayout key_layout(random::Layout layout) {
  return layout == random::Layout::kOriginal ? cpu::KeyLayout::kOriginal
                                             : cpu::KeyLayout::kPartitionable;
}

const uint32_t* keys_of(const void* const* in) { return static_cast<const uint32_t*>(in[0]); }

int64_t key_count(const KernelRequest& request) {
  return element_count(request.inputs[0].shape) / 2;
}

void run_bits(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const RandomParams& p = request.params.as<RandomParams>();
  cpu::random_bits(keys_of(in), key_count(request), element_count(p.shape),
                   static_cast<int>(size_of(p.dtype)) * 8, key_layout(p.layout), out[0]);
}

void run_split(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const RandomParams& p = request.params.as<RandomParams>();
  cpu::split_keys(keys_of(in), key_count(request), element_count(p.shape), key_layout(p.layout),
                  static_cast<uint32_t*>(out[0]));
}

void run_fold_in(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  cpu::fold_in_keys(keys_of(in), key_count(request), static_cast<const uint32_t*>(in[1]), 1,
                    static_cast<uint32_t*>(out[0]));
}

void run_uniform(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const RandomRangeParams& p = request.params.as<RandomRangeParams>();
  cpu::random_uniform(p.dtype, keys_of(in), key_count(request), element_count(p.shape), p.low,
                      p.high, key_layout(p.layout), out[0]);
}

void run_normal(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const RandomParams& p = request.params.as<RandomParams>();
  cpu::random_normal(p.dtype, keys_of(in), key_count(request), element_count(p.shape),
                     key_layout(p.layout), out[0]);
}

void run_truncated_normal(const KernelRequest& request, const void* const* in, void* const* out,
                          void*) {
  const RandomRangeParams& p = request.params.as<RandomRangeParams>();
  cpu::random_truncated_normal(p.dtype, keys_of(in), key_count(request), element_count(p.shape),
                               p.low, p.high, key_layout(p.layout), out[0]);
}

void run_gamma(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const RandomGammaParams& p = request.params.as<RandomGammaParams>();
  const OperandView& a = request.inputs[1];
  const int64_t keys = key_count(request);
  if (keys == 0) return;
  cpu::random_gamma(a.dtype, keys_of(in), keys, element_count(a.shape) / keys, in[1], p.logarithm,
                    key_layout(p.layout), out[0]);
}

void run_poisson(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const int64_t keys = key_count(request);
  if (keys == 0) return;
  cpu::random_poisson(keys_of(in), keys, element_count(request.inputs[1].shape) / keys,
                      static_cast<const float*>(in[1]),
                      key_layout(request.params.as<RandomParams>().layout),
                      static_cast<int64_t*>(out[0]));
}

/// Calls factor(rows, columns, matrix) with each matrix in double precision.
template <class F>
void factor_matrices(const KernelRequest& request, const void* in, void* out, F&& factor) {
  const std::span<const int64_t> shape = request.inputs[0].shape;
  const int64_t rows = shape[shape.size() - 2], columns = shape.back();
  const int64_t size = rows * columns, total = element_count(shape);
  std::vector<double> matrix(static_cast<size_t>(size));
  visit_dtype(request.inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    using Wide = std::conditional_t<sizeof(T) == 8, double, float>;
    if constexpr (is_floating(dtype_of<T>())) {
      const T* from = static_cast<const T*>(in);
      T* to = static_cast<T*>(out);
      for (int64_t at = 0; at < total; at += size) {
        for (int64_t i = 0; i < size; ++i)
          matrix[static_cast<size_t>(i)] = static_cast<Wide>(from[at + i]);
        factor(rows, columns, matrix.data());
        for (int64_t i = 0; i < size; ++i)
          to[at + i] = T(static_cast<Wide>(matrix[static_cast<size_t>(i)]));
      }
    }
  });
}

void run_qr_orthogonal(const KernelRequest& request, const void* const* in, void* const* out,
                       void*) {
  factor_matrices(request, in[0], out[0], cpu::qr_orthogonal);
}

void run_cholesky(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  factor_matrices(request, in[0], out[0],
                  [](int64_t n, int64_t, double* matrix) { cpu::cholesky(n, matrix); });
}

std::string decline_dropout(const KernelRequest& request) {
  const DropoutParams& p = request.params.as<DropoutParams>();
  if (p.layout != random::Layout::kPartitionable) return "the older layout of bits";
  const std::span<const int64_t> shape = request.inputs[0].shape;
  return std::equal(shape.begin(), shape.end(), p.mask_shape.begin(), p.mask_shape.end())
             ? ""
             : "a broadcast mask";
}

/// One tile. Elements are chosen by masking their bits: a conditional would become a branch, which
/// is mispredicted for every other element.
template <class T, class Wide>
void apply_mask(const uint32_t* bits, int64_t count, int32_t threshold, Wide keep,
                const T* __restrict__ x, T* __restrict__ y, bool* __restrict__ mask) {
  using Word = std::conditional_t<sizeof(T) == 8, uint64_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  const auto kept = [=](uint32_t word) { return static_cast<int32_t>(word >> 9) < threshold; };
  for (int64_t i = 0; i < count; ++i) mask[i] = kept(bits[i]);
  for (int64_t i = 0; i < count; ++i) {
    const Word scaled = std::bit_cast<Word>(T(static_cast<Wide>(x[i]) / keep));
    y[i] = std::bit_cast<T>(static_cast<Word>(scaled & (Word(0) - Word(kept(bits[i])))));
  }
}

/// Draws and applies the mask tile by tile. A bit pattern b stands for (b >> 9) / 2^23 on [0, 1),
/// which is below `keep` exactly if b >> 9 is below ceil(keep * 2^23).
template <class T>
void dropout(cpu::Key key, int64_t count, double rate, const T* x, T* y, bool* mask) {
  constexpr int64_t kTile = 1024, kGrain = 8192;
  using Wide = std::conditional_t<sizeof(T) == 8, double, float>;
  const Wide keep = scalar(1 - rate, dtype_of<T>()).template item<Wide>();
  const double kept = static_cast<float>(1 - rate);
  const int32_t threshold = static_cast<int32_t>(std::ceil(kept * 0x1p23));
  cpu::parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t bits[kTile];
    for (int64_t at = begin; at < end; at += kTile) {
      const int64_t size = std::min(kTile, end - at);
      cpu::random_bits_part(key, at, size, 32, bits);
      apply_mask(bits, size, threshold, keep, x + at, y + at, mask + at);
    }
  });
}

void run_dropout(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const DropoutParams& p = request.params.as<DropoutParams>();
  const auto* words = static_cast<const uint32_t*>(in[1]);
  const OperandView& x = request.inputs[0];
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (is_floating(dtype_of<T>())) {
      dropout<T>({words[0], words[1]}, element_count(x.shape), p.rate, static_cast<const T*>(in[0]),
                 static_cast<T*>(out[0]), static_cast<bool*>(out[1]));
    }
  });
}

}  // namespace

void register_random(KernelTable& table) {
  table.add(random_bits_primitive(), {.name = "threefry", .run = run_bits, .never_throws = true});
  table.add(random_split_primitive(), {.name = "threefry", .run = run_split, .never_throws = true});
  table.add(random_fold_in_primitive(),
            {.name = "threefry", .run = run_fold_in, .never_throws = true});
  table.add(random_uniform_primitive(),
            {.name = "threefry", .run = run_uniform, .never_throws = true});
  table.add(random_normal_primitive(),
            {.name = "threefry", .run = run_normal, .never_throws = true});
  table.add(random_truncated_normal_primitive(),
            {.name = "threefry", .run = run_truncated_normal, .never_throws = true});
  table.add(random_gamma_primitive(), {.name = "rejection", .run = run_gamma});
  table.add(random_poisson_primitive(), {.name = "rejection", .run = run_poisson});
  table.add(qr_orthogonal_primitive(), {.name = "householder", .run = run_qr_orthogonal});
  table.add(cholesky_primitive(), {.name = "rows", .run = run_cholesky});
  table.add(
      dropout_primitive(),
      {.name = "fused", .decline = decline_dropout, .run = run_dropout, .never_throws = true});
}

}  // namespace linnet
