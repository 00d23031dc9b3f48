// Random bits against the answers of the Random123 library; numbers from many keys; dropout against
// the bits of its key. That all numbers are the processor's is tested with tensors (../programs).
#include "cuda/kernels/rows.h"
#include "kernels/cuda/random/random_args.h"

namespace linnet::cuda::random_test {
namespace {

using Words = std::vector<uint32_t>;

template <class Pointer, class T>
Global<Pointer> at(const std::vector<T>& values) {
  return {reinterpret_cast<uintptr_t>(values.data())};
}

/// `std::vector` gives 16 bytes of alignment, which is what runs of four elements need.
template <class T>
std::vector<T> draw(const char* name, const Words& keys, long long count) {
  const long long key_count = static_cast<long long>(keys.size() / 2);
  std::vector<T> out(static_cast<size_t>(key_count * count), T(77));
  const uint32_t blocks = static_cast<uint32_t>((out.size() + 1023) / 1024);
  emulator::launch(kernel_named(name), {blocks},
                   RandomBitsArgs{at<const unsigned>(keys), at<void>(out), key_count, count});
  return out;
}

class RandomKernels : public testing::TestWithParam<emulator::Schedule> {
 protected:
  void SetUp() override { emulator::set_schedule(GetParam(), 11); }
};

TEST_P(RandomKernels, known_answers) {
  const auto high_first = [](uint64_t pair) { return pair >> 32 | pair << 32; };
  EXPECT_EQ(high_first(draw<uint64_t>("random_split", {0, 0}, 1)[0]), 0x6b20015999ba4efeu);
  EXPECT_EQ(draw<uint64_t>("random_bits_64", {0, 0}, 1)[0], 0x6b20015999ba4efeu);
  EXPECT_EQ(draw<uint32_t>("random_bits_32", {0, 0}, 1)[0], 0x6b200159u ^ 0x99ba4efeu);
}

TEST_P(RandomKernels, fold_in) {
  const Words keys{0, 0, 0, 0, 5, 6}, data{0, 1, 0};
  Words out(6, 77);
  emulator::launch(
      kernel_named("random_fold_in"), {1},
      FoldInArgs{at<const unsigned>(keys), at<const unsigned>(data), at<unsigned>(out), 3});
  EXPECT_EQ((Words{out[0], out[1]}), (Words{0x6b200159, 0x99ba4efe}));
  const auto pairs = draw<uint64_t>("random_bits_64", {0, 0}, 2);
  EXPECT_EQ(uint64_t{out[2]} << 32 | out[3], pairs[1]);
  const auto other = draw<uint64_t>("random_bits_64", {5, 6}, 1);
  EXPECT_EQ(uint64_t{out[4]} << 32 | out[5], other[0]);
}

TEST_P(RandomKernels, each_key_alone) {
  const Words keys{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  for (const long long count : {1, 3, 4, 1025}) {
    const Words together = draw<uint32_t>("random_bits_32", keys, count);
    for (size_t k = 0; k < 5; ++k) {
      const Words alone = draw<uint32_t>("random_bits_32", {keys[2 * k], keys[2 * k + 1]}, count);
      const auto first = together.begin() + static_cast<long long>(k) * count;
      EXPECT_EQ(Words(first, first + count), alone) << count;
    }
  }
}

TEST_P(RandomKernels, narrow_bits_are_the_low_bits) {
  const Words words = draw<uint32_t>("random_bits_32", {3, 9}, 37);
  const auto shorts = draw<uint16_t>("random_bits_16", {3, 9}, 37);
  const auto bytes = draw<uint8_t>("random_bits_8", {3, 9}, 37);
  for (size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(shorts[i], words[i] & 0xffff);
    EXPECT_EQ(bytes[i], words[i] & 0xff);
  }
}

template <class T>
void check_dropout(const char* name, size_t skew) {
  constexpr int kCount = 2051;
  const DeviceArray<T> x(some_numbers(kCount), skew), y(Numbers(kCount, 99));
  const Words key{3, 9}, words = draw<uint32_t>("random_bits_32", key, kCount);
  std::vector<uint8_t> mask(kCount, 77);
  const int threshold = 3 << 21;  // keeps 3/4
  emulator::launch(kernel_named(name), {(kCount + 1023) / 1024},
                   DropoutArgs{x, at<const unsigned>(key), y, at<unsigned char>(mask), kCount, 0.75,
                               threshold, skew == 0});
  const Numbers values = x.numbers(), results = y.numbers();
  for (size_t i = 0; i < kCount; ++i) {
    const bool kept = static_cast<int>(words[i] >> 9) < threshold;
    ASSERT_EQ(mask[i], kept) << name << " " << i;
    const double expected = kept ? values[i] / 0.75 : 0;
    ASSERT_NEAR(results[i], expected, tolerance<T>() * std::fabs(expected)) << name << " " << i;
  }
}

TEST_P(RandomKernels, dropout) {
  for (const size_t skew : {0, 1}) {
#define X(name, dtype, T) check_dropout<T>(#name, skew);
    LINNET_DROPOUT_KERNELS(X)
#undef X
  }
}

/// What dropout keeps and what attention multiplies weights by are the same decisions.
template <class T>
void check_dropout_factors(const char* name) {
  const Words keys{3, 9, 5, 6};
  constexpr int kCount = 1027;
  const Words words = draw<uint32_t>("random_bits_32", keys, kCount);
  const DeviceArray<T> out(Numbers(words.size(), 99));
  const int threshold = 3 << 21;
  emulator::launch(kernel_named(name), {(2 * kCount + 1023) / 1024},
                   DropoutFactorsArgs{at<const unsigned>(keys), out, 2, kCount, threshold});
  const Numbers factors = out.numbers();
  for (size_t i = 0; i < words.size(); ++i)
    ASSERT_EQ(factors[i], static_cast<int>(words[i] >> 9) < threshold) << name << " " << i;
}

TEST_P(RandomKernels, dropout_factors) {
#define X(name, dtype, T) check_dropout_factors<T>(#name);
  LINNET_DROPOUT_FACTORS_KERNELS(X)
#undef X
}

INSTANTIATE_TEST_SUITE_P(Schedules, RandomKernels, testing::ValuesIn(emulator::kTestedSchedules),
                         [](const auto& info) { return emulator::name_of(info.param); });

}  // namespace
}  // namespace linnet::cuda::random_test
