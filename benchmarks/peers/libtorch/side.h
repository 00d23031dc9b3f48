// What the files of libtorch's side share: the common numbers as tensors, and works of one
// function.
#pragma once

#include <torch/torch.h>

#include "benchmarks/peers/harness/cases.h"
#include "benchmarks/support/inputs.h"

namespace peers {

using torch::Tensor;

void add_models(Cases& cases);
void add_kernels(Cases& cases);

/// Uniform in [-bound, bound), the same numbers as on every side.
inline Tensor uniform(uint64_t seed, at::IntArrayRef shape, double bound) {
  std::vector<float> values = workload::uniform(
      seed, static_cast<size_t>(c10::multiply_integers(shape)), static_cast<float>(bound));
  return torch::from_blob(values.data(), shape).clone();
}
inline Tensor he_uniform(uint64_t seed, at::IntArrayRef shape, int64_t fan) {
  return uniform(seed, shape, std::sqrt(6.f / static_cast<float>(fan)));
}

/// Mean of absolute values, in double.
inline double mean_abs(const Tensor& x) {
  return x.detach().to(torch::kFloat64).abs().mean().item<double>();
}

/// What tells results of softmax apart, whose mean is known.
inline double mean_square(const Tensor& x) {
  return x.to(torch::kFloat64).square().mean().item<double>();
}

/// The compiler must believe that somebody reads it.
inline void keep(const Tensor& x) { asm volatile("" : : "r"(x.unsafeGetTensorImpl()) : "memory"); }

/// `step()` gives the loss; see harness/cases.h.
template <class Step>
Work training(Step step, int gate) {
  return training(
      std::move(step), gate, [](const Tensor& loss) { return loss.item<double>(); }, keep);
}

/// `f()` gives one tensor and is not recorded for a gradient.
template <class F>
Work repeat(F f, double (*check)(const Tensor&) = mean_abs) {
  return training(
      [f] {
        const torch::NoGradGuard guard;
        return f();
      },
      1, check, keep);
}

}  // namespace peers
