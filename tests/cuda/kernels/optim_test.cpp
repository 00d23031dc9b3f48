// Optimiser steps and sums of squares over lists of tensors of many sizes.
#include "kernels/cuda/optim/optim_args.h"

#include <memory>

#include "cuda/kernels/rows.h"

namespace linnet::cuda::optim_test {
namespace {

constexpr int kSizes[] = {1, 3, 4096, 4097, 31, 10000};

template <int most>
uint32_t fill(TensorTable<most>& table) {
  int blocks = 0;
  for (const int size : kSizes) {
    table.size[table.count] = size;
    table.first_block[table.count++] = blocks;
    blocks += (size + kListBlock - 1) / kListBlock;
  }
  table.first_block[table.count] = blocks;
  return static_cast<uint32_t>(blocks);
}

struct Tensor {
  Tensor(size_t size, uint32_t seed, size_t skew)
      : p(some_numbers(size, 1, seed), skew),
        g(some_numbers(size, 1, seed + 1), skew),
        m(some_numbers(size, 0.1, seed + 2), skew),
        v(Numbers(size, 0.01), skew) {}
  DeviceArray<float> p, g, m, v;
};

template <int most, int width>
void check_adamw(const char* name) {
  for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
    emulator::set_schedule(schedule, 9);
    SCOPED_TRACE(std::string(name) + ", " + emulator::name_of(schedule));
    const DeviceArray<float> scalars({0.01, 0.1, 0.001});
    auto args = std::make_unique<AdamWArgs<most>>();
    const Global<const float> first = scalars;
    args->rate = first;
    args->first_correction = {first.word + 4};
    args->second_correction = {first.word + 8};
    args->settings = {0.9f, 0.999f, 0.1f, 0.001f, 1e-8f, 1e-10f, 0.05f};
    std::vector<std::unique_ptr<Tensor>> tensors;
    std::vector<Numbers> before;
    for (size_t i = 0; i < std::size(kSizes); ++i) {
      tensors.push_back(std::make_unique<Tensor>(kSizes[i], static_cast<uint32_t>(10 * i + 1),
                                                 width == 1 ? 1 : 0));
      const Tensor& t = *tensors.back();
      before.push_back(t.p.numbers());
      before.push_back(t.m.numbers());
      args->tensors[i] = {t.p, t.g, t.m, t.v, t.p, t.m, t.v};  // in place
    }
    const uint32_t blocks = fill(args->table);
    emulator::launch(kernel_named(name), {blocks}, *args);
    for (size_t i = 0; i < tensors.size(); ++i) {
      Numbers p = before[2 * i], m = before[2 * i + 1], v(p.size(), 0.01f);
      const Numbers g = tensors[i]->g.numbers();
      for (size_t j = 0; j < p.size(); ++j) {
        m[j] = 0.1 * g[j] + 0.9 * m[j];
        v[j] = 0.001 * g[j] * g[j] + 0.999 * v[j];
        const double step = (m[j] / 0.1) / (std::sqrt(v[j] / 0.001 + 1e-10) + 1e-8);
        p[j] -= 0.01 * (step + 0.05 * p[j]);
      }
      EXPECT_EQ(difference(tensors[i]->p.numbers(), p, 2e-6, 2e-7), "");
      EXPECT_EQ(difference(tensors[i]->m.numbers(), m, 2e-6, 2e-7), "");
      EXPECT_EQ(difference(tensors[i]->v.numbers(), v, 2e-6, 2e-7), "");
    }
  }
}

TEST(OptimKernels, adamw_in_place) {
#define X(name, most, width) check_adamw<most, width>(#name);
  LINNET_ADAMW_KERNELS(X)
#undef X
}

template <class T, int most>
void check_sum_of_squares(const char* name) {
  for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
    emulator::set_schedule(schedule, 9);
    SCOPED_TRACE(std::string(name) + ", " + emulator::name_of(schedule));
    std::vector<std::unique_ptr<DeviceArray<T>>> tensors;
    auto args = std::make_unique<SumOfSquaresArgs<most>>();
    double expected = 0;
    for (size_t i = 0; i < std::size(kSizes); ++i) {
      const size_t skew = i % 2;  // half of them are misaligned
      tensors.push_back(std::make_unique<DeviceArray<T>>(
          some_numbers(kSizes[i], 1, static_cast<uint32_t>(i + 1)), skew));
      args->tensors[i] = *tensors.back();
      for (const double x : tensors.back()->numbers()) expected += x * x;
    }
    const uint32_t blocks = fill(args->table);
    const DeviceArray<double> sums(Numbers(blocks, 99));
    args->sums = sums;
    emulator::launch(kernel_named(name), {blocks}, *args);
    const DeviceArray<double> out(Numbers(1, 99));
    emulator::launch(kernel_named("finish_sum_of_squares"), {1},
                     FinishSumOfSquaresArgs{sums, out, static_cast<long long>(blocks), 1});
    EXPECT_NEAR(out.numbers()[0], expected, 1e-6 * expected);
  }
}

TEST(OptimKernels, sum_of_squares) {
#define X(name, dtype, T, most) check_sum_of_squares<T, most>(#name);
  LINNET_SUM_OF_SQUARES_KERNELS(X)
#undef X
}

TEST(OptimKernels, sum_of_nothing_is_zero) {
  const DeviceArray<float> out(Numbers(1, 99));
  emulator::launch(kernel_named("finish_sum_of_squares"), {1},
                   FinishSumOfSquaresArgs{{}, out, 0, 0});
  EXPECT_EQ(out.numbers()[0], 0);
}

}  // namespace
}  // namespace linnet::cuda::optim_test
