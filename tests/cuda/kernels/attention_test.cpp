// Kernels around attention: masks as biases, and rows that may look nowhere, with and without
// factors of dropout, against their definitions.
#include "kernels/cuda/attention/attention_args.h"

#include "cuda/kernels/rows.h"

namespace linnet::cuda::attention_test {
namespace {

constexpr float kLimit = -5e29f, kMaskedScore = -2e38f;

class AttentionKernels : public testing::TestWithParam<emulator::Schedule> {
 protected:
  void SetUp() override { emulator::set_schedule(GetParam(), 11); }
};

/// A mask [2, 1, 2, 1] and a bias [1, 4, 2, 128] as one bias [2, 4, 2, 128].
template <class T, class Result>
void check_bias(const char* name, bool has_bias) {
  constexpr int kBatch = 2, kHeads = 4, kQueries = 2, kKeys = 128;
  constexpr size_t kCount = size_t{kBatch} * kHeads * kQueries * kKeys;
  const std::vector<uint8_t> mask{1, 0, 0, 1};
  Numbers numbers = some_numbers(size_t{kHeads} * kQueries * kKeys);
  numbers[3] = -kInfinity;
  const DeviceArray<T> bias(numbers);
  const DeviceArray<Result> y(Numbers(kCount, 99));
  AttentionBiasArgs args{};
  args.mask = {reinterpret_cast<uintptr_t>(mask.data())};
  if (has_bias) args.bias = Global<const char>(bias);
  args.y = y;
  args.space.count = kCount;
  args.space.rank = 4;
  // Divisors that are powers of two need no multiplier.
  const Divisor sizes[] = {{kBatch, 1, 1}, {kHeads, 1, 2}, {kQueries, 1, 1}, {kKeys, 1, 7}};
  const int of_mask[] = {2, 0, 1, 0}, of_bias[] = {0, kQueries * kKeys, kKeys, 1};
  for (size_t d = 0; d < 4; ++d) {
    args.space.sizes[d] = sizes[d];
    args.space.strides[d][0] = of_mask[d];
    args.space.strides[d][1] = of_bias[d] * static_cast<int>(sizeof(T));
  }
  emulator::launch(kernel_named(name), {(kCount + 1023) / 1024}, args);
  const Numbers got = y.numbers(), biases = bias.numbers();
  for (size_t i = 0; i < kCount; ++i) {
    const size_t query = i / kKeys % kQueries, batch = i / (kCount / kBatch);
    const double own = has_bias ? std::max<double>(biases[i % biases.size()], kMaskedBias) : 0;
    const double expected = mask[batch * kQueries + query] ? own : double{kMaskedBias};
    ASSERT_NEAR(got[i], expected, std::fabs(expected) / 256) << name << " " << i;
    ASSERT_TRUE(std::isfinite(got[i] * 1.5)) << name << " " << i;
  }
}

TEST_P(AttentionKernels, masks_as_biases) {
  for (const bool has_bias : {false, true}) {
#define X(name, dtype, T, Result) check_bias<T, Result>(#name, has_bias);
    LINNET_ATTENTION_BIAS_KERNELS(X)
#undef X
  }
}

/// Sizes that are no multiples of what a warp has, two heads for each key head.
struct Problem {
  int batch = 2, heads = 4, group = 2, q_length = 131, kv_length = 133, size = 40;

  AttentionRows rows(double factor_share) const {
    AttentionRows out{};
    out.batch = batch;
    out.heads = heads;
    out.group = group;
    out.q_length = q_length;
    out.kv_length = kv_length;
    out.size = size;
    out.limit = kLimit;
    out.weight = static_cast<float>(1 / (factor_share * kv_length));
    return out;
  }
  size_t queries() const { return static_cast<size_t>(batch) * heads * q_length; }
  size_t keys() const { return static_cast<size_t>(batch) * (heads / group) * kv_length; }
  size_t query(int b, int h, int t, int d) const {
    return static_cast<size_t>(((b * q_length + t) * heads + h) * size + d);
  }
  size_t key(int b, int h, int s, int d) const {
    return static_cast<size_t>(((b * kv_length + s) * (heads / group) + h / group) * size + d);
  }
  /// The second batch has none in its first two heads.
  bool is_empty(int b, int h, int t) const { return (t * 7 + h) % 5 == 0 && (b == 0 || h >= 2); }
  /// Log-sum-exps of rows; those of empty ones are far below the limit.
  std::vector<float> log_sum_exp() const {
    std::vector<float> out;
    for (int b = 0; b < batch; ++b) {
      for (int h = 0; h < heads; ++h) {
        for (int t = 0; t < q_length; ++t) out.push_back(is_empty(b, h, t) ? -1e30f : 0.5f);
      }
    }
    return out;
  }
  uint32_t blocks(int matrices, int length) const {
    const int warps = matrices * ((length + kRowsPerWarp - 1) / kRowsPerWarp);
    return static_cast<uint32_t>((warps + 7) / 8);
  }
  template <class Visit>  // visit(b, h, t) for empty rows
  void for_empty(const Visit& visit) const {
    for (int b = 0; b < batch; ++b) {
      for (int h = 0; h < heads; ++h) {
        for (int t = 0; t < q_length; ++t) {
          if (is_empty(b, h, t)) visit(b, h, t);
        }
      }
    }
  }
};

/// Zeros and ones; those of one head serve all.
Numbers zeros_and_ones(size_t count) {
  Numbers out = some_numbers(count, 1, 5);
  for (double& x : out) x = x > 0;
  return out;
}

template <class T>
void check_empty_rows(const char* name, bool has_factors) {
  const Problem p;
  const DeviceArray<T> v(some_numbers(p.keys() * 40)), y(Numbers(p.queries() * 40, 99));
  const size_t matrix = static_cast<size_t>(p.q_length) * p.kv_length;
  const DeviceArray<T> factors(zeros_and_ones(2 * matrix));
  std::vector<float> log_sum_exp = p.log_sum_exp();
  EmptyRowsArgs args{v,           {},          y, {reinterpret_cast<uintptr_t>(log_sum_exp.data())},
                     p.rows(0.5), kMaskedScore};
  if (has_factors) {
    args.factors = Global<const void>(factors);
    args.rows.factors_batch = static_cast<long long>(matrix);  // the same for all heads
  }
  Numbers expected(p.queries() * 40, 99);
  const Numbers values = v.numbers(), kept = factors.numbers();
  std::vector<float> expected_sums = p.log_sum_exp();
  p.for_empty([&](int b, int h, int t) {
    expected_sums[static_cast<size_t>((b * p.heads + h) * p.q_length + t)] = kMaskedScore;
    for (int d = 0; d < p.size; ++d) {
      double sum = 0;
      for (int s = 0; s < p.kv_length; ++s) {
        const size_t at =
            static_cast<size_t>(b) * matrix + static_cast<size_t>(t * p.kv_length + s);
        sum += (has_factors ? kept[at] : 1) * values[p.key(b, h, s, d)];
      }
      expected[p.query(b, h, t, d)] = sum * 2 / p.kv_length;
    }
  });
  emulator::launch(kernel_named(name), {p.blocks(p.batch * p.heads, p.q_length)}, args);
  EXPECT_EQ(difference(y.numbers(), expected, tolerance<T>(), 1e-4), "") << name;
  EXPECT_EQ(log_sum_exp, expected_sums) << name;
}

TEST_P(AttentionKernels, empty_rows) {
  for (const bool has_factors : {false, true}) {
#define X(name, dtype, T) check_empty_rows<T>(#name, has_factors);
    LINNET_EMPTY_ROWS_KERNELS(X)
#undef X
  }
}

template <class T>
void check_empty_rows_backward(const char* name, bool has_factors) {
  const Problem p;
  const DeviceArray<T> dy(some_numbers(p.queries() * 40)), dv(some_numbers(p.keys() * 40, 2, 3));
  const size_t matrix = static_cast<size_t>(p.q_length) * p.kv_length;
  const DeviceArray<T> factors(zeros_and_ones(static_cast<size_t>(p.heads) * matrix));
  const std::vector<float> log_sum_exp = p.log_sum_exp();
  EmptyRowsBackwardArgs args{
      dy, {}, dv, {reinterpret_cast<uintptr_t>(log_sum_exp.data())}, p.rows(0.5)};
  if (has_factors) {
    args.factors = Global<const void>(factors);
    args.rows.factors_head = static_cast<long long>(matrix);  // the same for the batch
  }
  Numbers expected = dv.numbers();
  const Numbers cotangents = dy.numbers(), kept = factors.numbers();
  p.for_empty([&](int b, int h, int t) {
    for (int s = 0; s < p.kv_length; ++s) {
      const size_t at = static_cast<size_t>(h) * matrix + static_cast<size_t>(t * p.kv_length + s);
      const double weight = (has_factors ? kept[at] : 1) * 2 / p.kv_length;
      for (int d = 0; d < p.size; ++d)
        expected[p.key(b, h, s, d)] += weight * cotangents[p.query(b, h, t, d)];
    }
  });
  emulator::launch(kernel_named(name), {p.blocks(p.batch * p.heads / p.group, p.kv_length)}, args);
  EXPECT_EQ(difference(dv.numbers(), expected, tolerance<T>(), 1e-4), "") << name;
}

TEST_P(AttentionKernels, gradients_of_empty_rows) {
  for (const bool has_factors : {false, true}) {
#define X(name, dtype, T) check_empty_rows_backward<T>(#name, has_factors);
    LINNET_EMPTY_ROWS_BACKWARD_KERNELS(X)
#undef X
  }
}

TEST_P(AttentionKernels, visible_rows) {
  const std::vector<float> x{1, -1e30f, -4e29f, -2e38f, 7};
  std::vector<float> y(5, 99);
  emulator::launch(kernel_named("attention_visible_rows"), {1},
                   VisibleRowsArgs{{reinterpret_cast<uintptr_t>(x.data())},
                                   {reinterpret_cast<uintptr_t>(y.data())},
                                   5,
                                   kLimit});
  EXPECT_EQ(y, (std::vector<float>{1, 0, -4e29f, 0, 7}));
}

INSTANTIATE_TEST_SUITE_P(Schedules, AttentionKernels, testing::ValuesIn(emulator::kTestedSchedules),
                         [](const auto& info) { return emulator::name_of(info.param); });

}  // namespace
}  // namespace linnet::cuda::attention_test
