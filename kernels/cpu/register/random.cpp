// Kernels of random numbers.
#include "core/ops/random.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/cpu/linalg/factor.h"
#include "kernels/cpu/random/rejection.h"
#include "kernels/cpu/random/samplers.h"
#include "kernels/cpu/random/threefry.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

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

size_t bits_bytes(const KernelRequest& request) {
  const RandomParams& p = request.params.as<RandomParams>();
  return cpu::random_bits_workspace(element_count(p.shape), static_cast<int>(size_of(p.dtype)) * 8,
                                    key_layout(p.layout));
}

void run_bits(const KernelRequest& request, const void* const* in, void* const* out,
              void* workspace) {
  const RandomParams& p = request.params.as<RandomParams>();
  cpu::random_bits(keys_of(in), key_count(request), element_count(p.shape),
                   static_cast<int>(size_of(p.dtype)) * 8, key_layout(p.layout), out[0], workspace);
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

template <class P>
size_t sampler_bytes(const KernelRequest& request) {
  const P& p = request.params.as<P>();
  return cpu::sampler_workspace(p.dtype, key_count(request), element_count(p.shape),
                                key_layout(p.layout));
}

void run_uniform(const KernelRequest& request, const void* const* in, void* const* out,
                 void* workspace) {
  const RandomRangeParams& p = request.params.as<RandomRangeParams>();
  cpu::random_uniform(p.dtype, keys_of(in), key_count(request), element_count(p.shape), p.low,
                      p.high, key_layout(p.layout), out[0], workspace);
}

void run_normal(const KernelRequest& request, const void* const* in, void* const* out,
                void* workspace) {
  const RandomParams& p = request.params.as<RandomParams>();
  cpu::random_normal(p.dtype, keys_of(in), key_count(request), element_count(p.shape),
                     key_layout(p.layout), out[0], workspace);
}

void run_truncated_normal(const KernelRequest& request, const void* const* in, void* const* out,
                          void* workspace) {
  const RandomRangeParams& p = request.params.as<RandomRangeParams>();
  cpu::random_truncated_normal(p.dtype, keys_of(in), key_count(request), element_count(p.shape),
                               p.low, p.high, key_layout(p.layout), out[0], workspace);
}

/// Numbers that each key gives to one with a parameter per number.
int64_t numbers_per_key(const KernelRequest& request) {
  const int64_t keys = key_count(request);
  return keys == 0 ? 0 : element_count(request.inputs[1].shape) / keys;
}

size_t gamma_bytes(const KernelRequest& request) {
  return cpu::gamma_workspace(key_count(request), numbers_per_key(request));
}

void run_gamma(const KernelRequest& request, const void* const* in, void* const* out,
               void* workspace) {
  const RandomGammaParams& p = request.params.as<RandomGammaParams>();
  cpu::random_gamma(request.inputs[1].dtype, keys_of(in), key_count(request),
                    numbers_per_key(request), in[1], p.logarithm, key_layout(p.layout), out[0],
                    workspace);
}

size_t poisson_bytes(const KernelRequest& request) {
  return cpu::poisson_workspace(key_count(request), numbers_per_key(request),
                                key_layout(request.params.as<RandomParams>().layout));
}

void run_poisson(const KernelRequest& request, const void* const* in, void* const* out,
                 void* workspace) {
  cpu::random_poisson(keys_of(in), key_count(request), numbers_per_key(request),
                      static_cast<const float*>(in[1]),
                      key_layout(request.params.as<RandomParams>().layout),
                      static_cast<int64_t*>(out[0]), workspace);
}

/// A matrix in double precision, and what its factor is computed in.
struct FactorSpace {
  FactorSpace(cpu::Workspace& w, const KernelRequest& request, bool orthogonal)
      : rows(request.inputs[0].shape[request.inputs[0].shape.size() - 2]),
        columns(request.inputs[0].shape.back()),
        matrix(w.take<double>(rows * columns)),
        rest(w.take<std::byte>(orthogonal ? static_cast<int64_t>(cpu::qr_workspace(rows, columns))
                                          : 0)) {}
  int64_t rows, columns;
  double* matrix;
  std::byte* rest;
};

template <bool kOrthogonal>
size_t factor_bytes(const KernelRequest& request) {
  return cpu::workspace_bytes<FactorSpace>(request, kOrthogonal);
}

template <bool kOrthogonal>
void run_factor(const KernelRequest& request, const void* const* in, void* const* out,
                void* workspace) {
  cpu::Workspace w(workspace);
  const FactorSpace space(w, request, kOrthogonal);
  const int64_t size = space.rows * space.columns, total = element_count(request.inputs[0].shape);
  visit_dtype(request.inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    using Wide = std::conditional_t<sizeof(T) == 8, double, float>;
    if constexpr (is_floating(dtype_of<T>())) {
      const T* from = static_cast<const T*>(in[0]);
      T* to = static_cast<T*>(out[0]);
      for (int64_t at = 0; at < total; at += size) {
        for (int64_t i = 0; i < size; ++i) space.matrix[i] = static_cast<Wide>(from[at + i]);
        if constexpr (kOrthogonal)
          cpu::qr_orthogonal(space.rows, space.columns, space.matrix, space.rest);
        else
          cpu::cholesky(space.rows, space.matrix);
        for (int64_t i = 0; i < size; ++i) to[at + i] = T(static_cast<Wide>(space.matrix[i]));
      }
    }
  });
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
  const Wide keep = static_cast<Wide>(T(static_cast<Wide>(1 - rate)));  // rounded to T
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
  const auto add = [&](const Primitive& primitive, const char* name, auto run, auto bytes) {
    table.add(primitive,
              {.name = name, .run = run, .workspace_bytes = bytes, .never_throws = true});
  };
  add(random_bits_primitive(), "threefry", run_bits, bits_bytes);
  add(random_split_primitive(), "threefry", run_split, nullptr);
  add(random_fold_in_primitive(), "threefry", run_fold_in, nullptr);
  add(random_uniform_primitive(), "threefry", run_uniform, sampler_bytes<RandomRangeParams>);
  add(random_normal_primitive(), "threefry", run_normal, sampler_bytes<RandomParams>);
  add(random_truncated_normal_primitive(), "threefry", run_truncated_normal,
      sampler_bytes<RandomRangeParams>);
  add(random_gamma_primitive(), "rejection", run_gamma, gamma_bytes);
  add(random_poisson_primitive(), "rejection", run_poisson, poisson_bytes);
  add(qr_orthogonal_primitive(), "householder", run_factor<true>, factor_bytes<true>);
  add(cholesky_primitive(), "rows", run_factor<false>, factor_bytes<false>);
  table.add(
      dropout_primitive(),
      {.name = "fused", .decline = decline_dropout, .run = run_dropout, .never_throws = true});
}

}  // namespace linnet
