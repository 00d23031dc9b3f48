#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/cpu/random/rejection.h"
#include "kernels/cpu/random/samplers.h"
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
  Rounds(Key key, int64_t count, KeyLayout layout) : key_(key), count_(count), layout_(layout) {}

  /// Splits the key into `arrays` + 1 and fills as many arrays from all but the first.
  void draw(int arrays, std::vector<float>* out) {
    uint32_t keys[6];
    split_keys(key_.data(), 1, arrays + 1, layout_, keys);
    key_ = {keys[0], keys[1]};
    for (int i = 0; i < arrays; ++i) {
      out[i].resize(static_cast<size_t>(count_));
      random_uniform(DType::kF32, keys + 2 * (i + 1), 1, count_, 0, 1, layout_, out[i].data());
    }
  }

 private:
  Key key_;
  int64_t count_;
  KeyLayout layout_;
};

/// The number as an integer, or the largest one.
int64_t whole(float k) {
  return k < 0x1p63f ? static_cast<int64_t>(k) : std::numeric_limits<int64_t>::max();
}

bool is_small(float rate) { return std::isnan(rate) || rate < 10; }

/// Knuth's method: how many uniform numbers until their product falls below exp(-rate).
void count_factors(Rounds rounds, int64_t count, const float* rate, int64_t* out) {
  std::vector<float> log_product(static_cast<size_t>(count), 0.0f), u;
  const auto runs = [&](int64_t i) {
    return is_small(rate[i]) && log_product[static_cast<size_t>(i)] > -rate[i];
  };
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
    for (size_t i = 0; i < u.size(); ++i) log_product[i] += std::log(u[i]);
  }
}

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

/// An element may be accepted again, and then takes the newer number, as long as any other is still
/// running; that includes the elements of the other method, which run along at a rate of 1e5.
void reject(Rounds rounds, int64_t count, const float* rate, int64_t* out) {
  std::vector<Hoermann> methods;
  std::vector<uint8_t> accepted(static_cast<size_t>(count), 0);
  for (int64_t i = 0; i < count; ++i) {
    methods.emplace_back(is_small(rate[i]) ? 1e5f : rate[i]);
    if (std::isinf(methods.back().rate)) {
      out[i] = -1;  // there is no such number
      accepted[static_cast<size_t>(i)] = 1;
    }
  }
  std::vector<float> draws[2];
  while (std::find(accepted.begin(), accepted.end(), 0) != accepted.end()) {
    rounds.draw(2, draws);
    for (size_t i = 0; i < accepted.size(); ++i) {
      float k;
      if (std::isinf(methods[i].rate) || !methods[i].accept(draws[0][i] - 0.5f, draws[1][i], k))
        continue;
      accepted[i] = 1;
      if (!is_small(rate[i])) out[i] = whole(k);
    }
  }
}

}  // namespace

void random_poisson(const uint32_t* keys, int64_t key_count, int64_t count, const float* rate,
                    KeyLayout layout, int64_t* out) {
  parallel_for(
      key_count, std::max<int64_t>(1, 256 / std::max<int64_t>(1, count)),
      [&](int64_t begin, int64_t end) {
        for (int64_t key = begin; key < end; ++key) {
          const Rounds rounds({keys[2 * key], keys[2 * key + 1]}, count, layout);
          const float* rates = rate + key * count;
          int64_t* to = out + key * count;
          count_factors(rounds, count, rates, to);
          // Where all rates are small the other method would change nothing.
          if (!std::all_of(rates, rates + count, [](float r) { return is_small(r) || r == 0; })) {
            reject(rounds, count, rates, to);
          }
          for (int64_t i = 0; i < count; ++i) {
            if (rates[i] == 0) to[i] = 0;
          }
        }
      });
}

}  // namespace linnet::cpu
