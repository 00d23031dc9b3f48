#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <numbers>

#include "kernels/cpu/random/rejection.h"
#include "kernels/cpu/random/samplers.h"
#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

/// Lanczos' approximation for x >= 0.5 in float, as the rejection step is defined (docs/rng.md,
/// appendix B).
float lgamma_lanczos(float x) {
  constexpr float kTerms[] = {676.520368121885098567f,     -1259.13921672240287047f,
                              771.323428777653078849f,     -176.615029162140599066f,
                              12.5073432786869048145f,     -0.138571095265720116896f,
                              9.984369578019570859563e-6f, 1.50563273514931155834e-7f};
  const float z = x - 1;
  float series = 0.99999999999980993228f;
  for (int i = 0; i < 8; ++i) series += kTerms[i] / (z + static_cast<float>(i) + 1);
  const float log_t = std::log(7.5f) + std::log1p(z / 7.5f);
  const float t = z + 7.5f;
  const float log_sqrt_two_pi =
      static_cast<float>((std::numbers::ln2 + std::log(std::numbers::pi)) / 2);
  return log_sqrt_two_pi + (z + 0.5f - t / log_t) * log_t + std::log(series);
}

/// One key's elements advance in step: every round draws a whole array of uniform numbers.
class Rounds {
 public:
  Rounds(Key key, int64_t count, KeyLayout layout, void* workspace)
      : key_(key), count_(count), layout_(layout), workspace_(workspace) {}

  /// Splits the key into `arrays` + 1 and fills as many arrays from all but the first.
  void draw(int arrays, float* const* out) {
    uint32_t keys[6];
    split_keys(key_.data(), 1, arrays + 1, layout_, keys);
    key_ = {keys[0], keys[1]};
    for (int i = 0; i < arrays; ++i) {
      random_uniform(DType::kF32, keys + 2 * (i + 1), 1, count_, 0, 1, layout_, out[i], workspace_);
    }
  }

 private:
  Key key_;
  int64_t count_;
  KeyLayout layout_;
  void* workspace_;
};

/// The number as an integer, or the largest one.
int64_t whole(float k) {
  return k < 0x1p63f ? static_cast<int64_t>(k) : std::numeric_limits<int64_t>::max();
}

bool is_small(float rate) { return std::isnan(rate) || rate < 10; }

/// Hoermann's transformed rejection for one rate.
struct Hoermann {
  float rate, log_rate, a, b, inverse_alpha, v_r;
  explicit Hoermann(float r) : rate(r), log_rate(std::log(r)) {
    b = 0.931f + 2.53f * std::sqrt(r);
    a = -0.059f + 0.02483f * b;
    inverse_alpha = 1.1239f + 1.1328f / (b - 3.4f);
    v_r = 0.9277f - 3.6224f / (b - 2.0f);
  }
  bool accept(float u, float v, float& k) const {
    const float us = 0.5f - std::abs(u);
    k = std::floor((2 * a / us + b) * u + rate + 0.43f);
    if (us >= 0.07f && v <= v_r) return true;
    if (k < 0 || (us < 0.013f && v > us)) return false;
    const float s = std::log(v * inverse_alpha / (a / (us * us) + b));
    return s <= -rate + k * log_rate - lgamma_lanczos(k + 1);
  }
};

/// What the numbers of one key are made in.
struct Space {
  Space(Workspace& w, int64_t count, KeyLayout layout)
      : log_product(w.take<float>(count)),
        draws{w.take<float>(count), w.take<float>(count)},
        methods(w.take<Hoermann>(count)),
        accepted(w.take<uint8_t>(count)),
        sampler(w.take<std::byte>(
            static_cast<int64_t>(sampler_workspace(DType::kF32, 1, count, layout)))) {}
  float *log_product, *draws[2];
  Hoermann* methods;
  uint8_t* accepted;
  std::byte* sampler;
};

int64_t key_grain(int64_t count) { return std::max<int64_t>(1, 256 / std::max<int64_t>(1, count)); }

/// Knuth's method: how many uniform numbers until their product falls below exp(-rate).
void count_factors(Rounds rounds, int64_t count, const float* rate, int64_t* out,
                   const Space& space) {
  float *const log_product = space.log_product, *const u = space.draws[0];
  std::fill_n(log_product, count, 0.0f);
  const auto runs = [&](int64_t i) { return is_small(rate[i]) && log_product[i] > -rate[i]; };
  for (int64_t i = 0; i < count; ++i) {
    if (is_small(rate[i])) out[i] = -1;
  }
  for (;;) {
    bool any = false;
    for (int64_t i = 0; i < count; ++i) {
      if (!runs(i)) continue;
      any = true;
      ++out[i];
    }
    if (!any) return;
    rounds.draw(1, &u);
    for (int64_t i = 0; i < count; ++i) log_product[i] += std::log(u[i]);
  }
}

/// An element may be accepted again, and then takes the newer number, as long as any other is still
/// running; that includes the elements of the other method, which run along at a rate of 1e5.
void reject(Rounds rounds, int64_t count, const float* rate, int64_t* out, const Space& space) {
  Hoermann* const methods = space.methods;
  uint8_t* const accepted = space.accepted;
  for (int64_t i = 0; i < count; ++i) {
    new (&methods[i]) Hoermann(is_small(rate[i]) ? 1e5f : rate[i]);
    accepted[i] = std::isinf(methods[i].rate);
    if (accepted[i]) out[i] = -1;  // there is no such number
  }
  while (std::find(accepted, accepted + count, 0) != accepted + count) {
    rounds.draw(2, space.draws);
    for (int64_t i = 0; i < count; ++i) {
      float k;
      if (std::isinf(methods[i].rate) ||
          !methods[i].accept(space.draws[0][i] - 0.5f, space.draws[1][i], k))
        continue;
      accepted[i] = 1;
      if (!is_small(rate[i])) out[i] = whole(k);
    }
  }
}

}  // namespace

size_t poisson_workspace(int64_t key_count, int64_t count, KeyLayout layout) {
  return static_cast<size_t>(parallel_slots(key_count, key_grain(count))) *
         workspace_bytes<Space>(count, layout);
}

void random_poisson(const uint32_t* keys, int64_t key_count, int64_t count, const float* rate,
                    KeyLayout layout, int64_t* out, void* workspace) {
  const size_t slot_bytes = workspace_bytes<Space>(count, layout);
  const auto draw = [&](int64_t begin, int64_t end, int64_t slot) {
    Workspace w(static_cast<std::byte*>(workspace) + static_cast<size_t>(slot) * slot_bytes);
    const Space space(w, count, layout);
    for (int64_t key = begin; key < end; ++key) {
      const Rounds rounds({keys[2 * key], keys[2 * key + 1]}, count, layout, space.sampler);
      const float* rates = rate + key * count;
      int64_t* to = out + key * count;
      count_factors(rounds, count, rates, to, space);
      // Where all rates are small the other method would change nothing.
      if (!std::all_of(rates, rates + count, [](float r) { return is_small(r) || r == 0; }))
        reject(rounds, count, rates, to, space);
      for (int64_t i = 0; i < count; ++i) {
        if (rates[i] == 0) to[i] = 0;
      }
    }
  };
  parallel_for_slots(key_count, key_grain(count), draw);
}

}  // namespace linnet::cpu
