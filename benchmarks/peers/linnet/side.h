// What the files of Linnet's side share: the common numbers as tensors, and works of one function.
#pragma once

#include <memory>

#include "benchmarks/peers/harness/cases.h"
#include "benchmarks/support/inputs.h"
#include "linnet/linnet.h"

namespace peers {

using namespace linnet;

void add_small(Cases& cases);
void add_mlp(Cases& cases);
void add_cnn(Cases& cases);
void add_gpt(Cases& cases);
void add_recurrent(Cases& cases);
void add_kernels(Cases& cases);

/// Uniform in [-bound, bound), the same numbers as uniform() of ../python/inputs.py.
inline Tensor uniform(uint64_t seed, const Shape& shape, double bound) {
  const auto count = static_cast<size_t>(element_count(shape));
  return from_vector(workload::uniform(seed, count, static_cast<float>(bound)), shape);
}
/// Uniform with the bound of He's initialisation: sqrt(6 / fan).
inline Tensor he_uniform(uint64_t seed, const Shape& shape, int64_t fan) {
  return uniform(seed, shape, std::sqrt(6.f / static_cast<float>(fan)));
}
inline Tensor labels(int64_t count, int64_t step = 7, int64_t classes = 10) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<int32_t>(i * step % classes));
  return from_vector(values, {count});
}
inline Tensor tokens(const Shape& shape, int64_t vocabulary, int64_t offset = 0) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i < element_count(shape); ++i)
    values.push_back(static_cast<int32_t>((i + offset) * 7919 % 6007 % vocabulary));
  return from_vector(values, shape);
}
/// Dense, so that it can be a parameter.
inline Tensor filled(const Shape& shape, double value) {
  return full(shape, Tensor(value), DType::kF32).contiguous();
}

/// Mean of absolute values, in double.
inline double mean_abs(const Tensor& x) {
  double sum = 0;
  for (const float value : x.astype(DType::kF32).to_vector<float>()) sum += std::fabs(value);
  return sum / static_cast<double>(x.size());
}

/// The compiler must believe that somebody reads it.
inline void keep(const Tensor& x) { asm volatile("" : : "r"(x.impl()) : "memory"); }

/// `step()` gives the loss; see harness/cases.h.
template <class Step>
Work training(Step step, int gate) {
  return training(
      std::move(step), gate, [](const Tensor& loss) { return loss.item<double>(); }, keep);
}

/// `f()` gives one tensor; a check that is empty is not made.
template <class F>
Work repeat(F f, const std::function<double(const Tensor&)>& check = mean_abs) {
  return training(
      std::move(f), 1, check ? check : [](const Tensor&) { return NAN; }, keep);
}

}  // namespace peers
