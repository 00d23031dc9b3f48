// Published and computed vectors of docs/rng.md, sections 11.1, 11.3 and 11.4.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "hwy/targets.h"
#include "kernels/cpu/random/samplers.h"
#include "kernels/cpu/random/threefry.h"
#include "kernels/cpu/random/threefry_vector.h"
#include "kernels/cpu/reduce/sort.h"
#include "linnet/detail/sha1.h"
#include "linnet/error.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet::cpu::random_test {
namespace {

using Words = std::vector<uint32_t>;
constexpr KeyLayout kNew = KeyLayout::kPartitionable;
constexpr KeyLayout kOld = KeyLayout::kOriginal;

Key key_of(uint32_t seed) { return {0, seed}; }

Words split(Key key, int64_t count, KeyLayout layout = kNew) {
  Words out(static_cast<size_t>(2 * count));
  split_keys(key.data(), 1, count, layout, out.data());
  return out;
}

Key fold(Key key, uint32_t data) {
  Key out;
  fold_in_keys(key.data(), 1, &data, 0, out.data());
  return out;
}

template <class T>
std::vector<T> bits(Key key, int64_t count, KeyLayout layout = kNew) {
  std::vector<T> out(static_cast<size_t>(count));
  constexpr int kWidth = 8 * sizeof(T);
  OwnWorkspace workspace(random_bits_workspace(count, kWidth, layout));
  random_bits(key.data(), 1, count, kWidth, layout, out.data(), workspace);
  return out;
}

std::vector<float> uniform(Key key, int64_t count, KeyLayout layout = kNew, double low = 0,
                           double high = 1) {
  std::vector<float> out(static_cast<size_t>(count));
  OwnWorkspace workspace(sampler_workspace(DType::kF32, 1, count, layout));
  random_uniform(DType::kF32, key.data(), 1, count, low, high, layout, out.data(), workspace);
  return out;
}

std::vector<float> normal(Key key, int64_t count, KeyLayout layout = kNew) {
  std::vector<float> out(static_cast<size_t>(count));
  OwnWorkspace workspace(sampler_workspace(DType::kF32, 1, count, layout));
  random_normal(DType::kF32, key.data(), 1, count, layout, out.data(), workspace);
  return out;
}

std::vector<float> truncated(Key key, int64_t count, double low, double high,
                             KeyLayout layout = kNew) {
  std::vector<float> out(static_cast<size_t>(count));
  OwnWorkspace workspace(sampler_workspace(DType::kF32, 1, count, layout));
  random_truncated_normal(DType::kF32, key.data(), 1, count, low, high, layout, out.data(),
                          workspace);
  return out;
}

Words float_bits(const std::vector<float>& values) {
  Words out;
  for (float value : values) out.push_back(std::bit_cast<uint32_t>(value));
  return out;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& expected,
                 double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], tolerance) << i;
}

Key distribution_key(const std::string& name) {
  uint32_t a = 1, b = 0;  // Adler-32
  for (unsigned char c : name + "threefry2x32") {
    a = (a + c) % 65521;
    b = (b + a) % 65521;
  }
  return key_of(b << 16 | a);
}

TEST(Threefry, J_055_known_answers) {
  EXPECT_EQ(threefry2x32({0, 0}, {0, 0}), (Key{0x6b200159, 0x99ba4efe}));
  EXPECT_EQ(threefry2x32({~0u, ~0u}, {~0u, ~0u}), (Key{0x1cb996fc, 0xbb002be7}));
  EXPECT_EQ(threefry2x32({0x13198a2e, 0x03707344}, {0x243f6a88, 0x85a308d3}),
            (Key{0xc4923a9c, 0x483df7a0}));
}

TEST(Threefry, SplitAndFoldInDefaultLayout) {
  EXPECT_EQ(fold(key_of(0), 0), (Key{1797259609, 2579123966}));
  EXPECT_EQ(fold(key_of(0), 1), (Key{928981903, 3453687069}));
  EXPECT_EQ(split(key_of(42), 2), (Words{1832780943, 270669613, 64467757, 2916123636}));
  EXPECT_EQ(split(key_of(1), 3),
            (Words{507451445, 1853169794, 1948878966, 4237131848, 2441914641, 3819641963}));
  EXPECT_EQ(split(key_of(1701), 4), (Words{741045208, 1847055613, 85238482, 2594297577, 56197195,
                                           961309823, 927208350, 676898860}));
  EXPECT_EQ(fold(key_of(1701), 0x80000000u), (Key{99154259, 376878034}));
  EXPECT_EQ(fold(key_of(1701), 0xFFFFFFFFu), (Key{244354911, 2968384621}));
  const Words three = split(key_of(72), 3);
  for (uint32_t i = 0; i < 3; ++i)
    EXPECT_EQ((Key{three[2 * i], three[2 * i + 1]}), fold(key_of(72), i));
}

TEST(Threefry, OlderLayout) {
  EXPECT_EQ(split(key_of(0), 4, kOld), (Words{2285895361, 1501764800, 1518642379, 4090693311,
                                              433833334, 4221794875, 839183663, 3740430601}));
  EXPECT_EQ(split(key_of(1701), 4, kOld), (Words{4000152724, 2030591747, 2287976877, 2598630646,
                                                 2426625787, 580268518, 3136765380, 433355682}));
  EXPECT_EQ(fold(key_of(0), 4), (Key{2285895361, 433833334}));
  EXPECT_EQ(bits<uint8_t>(key_of(1701), 3, kOld), (std::vector<uint8_t>{216, 115, 43}));
  EXPECT_EQ(bits<uint16_t>(key_of(1701), 3, kOld), (std::vector<uint16_t>{41682, 1300, 55017}));
  EXPECT_EQ(bits<uint32_t>(key_of(1701), 3, kOld), (Words{56197195, 4200222568, 961309823}));
  EXPECT_EQ(
      bits<uint64_t>(key_of(1701), 3, kOld),
      (std::vector<uint64_t>{3982329540505020460u, 16822122385914693683u, 7882654074788531506u}));
  const Key key = distribution_key("bits");
  EXPECT_EQ(bits<uint8_t>(key, 5, kOld), (std::vector<uint8_t>{10, 158, 82, 54, 158}));
  EXPECT_EQ(bits<uint16_t>(key, 5, kOld),
            (std::vector<uint16_t>{6738, 38161, 50695, 57337, 61600}));
  EXPECT_EQ(bits<uint32_t>(key, 5, kOld),
            (Words{1978747883, 4134381225, 3628107870, 689687174, 2788938207}));
  EXPECT_EQ(
      bits<uint64_t>(key, 5, kOld),
      (std::vector<uint64_t>{17649965731882839947u, 1415307058040849897u, 8282622628079774249u,
                             14024425113645909402u, 2012979996110532418u}));
}

TEST(RandomBits, DefaultLayout) {
  const Key key = key_of(1701);
  EXPECT_EQ(bits<uint32_t>(key_of(0), 1), (Words{4070199207}));
  EXPECT_EQ(bits<uint32_t>(key_of(10), 4), (Words{169096361, 1572511259, 2689743692, 2228103506}));
  EXPECT_EQ(bits<uint8_t>(key, 6), (std::vector<uint8_t>{37, 59, 52, 178, 111, 60}));
  EXPECT_EQ(bits<uint16_t>(key, 6),
            (std::vector<uint16_t>{42789, 29755, 60468, 48050, 8815, 25916}));
  EXPECT_EQ(bits<uint32_t>(key, 6),
            (Words{1111271205, 2679469115, 974515252, 521976754, 2127438447, 4120601916}));
  EXPECT_EQ(
      bits<uint64_t>(key, 6),
      (std::vector<uint64_t>{3182764935064573181u, 366096495144982249u, 241365115613244543u,
                             3982329540505020460u, 17180525131011940091u, 14047641688775088780u}));
  const Words many = bits<uint32_t>(key, 65536);
  EXPECT_EQ(many.front(), 1111271205u);
  EXPECT_EQ(many.back(), 1187781371u);
  EXPECT_EQ(std::accumulate(many.begin(), many.end(), 0u, std::bit_xor<uint32_t>()), 2766784087u);
  EXPECT_EQ(std::accumulate(many.begin(), many.end(), 0u), 4171602435u);
  EXPECT_THROW(random_bits(key.data(), 1, 1, 24, kNew, nullptr, nullptr), ValueError);
}

TEST(RandomBits, CountersCarryIntoTheHighWord) {
  Words pairs(14);
  threefry_pairs(key_of(1701), 0xFFFFFFFFull, 7, pairs.data());
  EXPECT_EQ(Words(pairs.begin(), pairs.begin() + 4),
            (Words{244354911, 2968384621, 4200222568, 459444078}));
  EXPECT_EQ(Words(pairs.begin() + 12, pairs.end()), (Words{2030591747, 580268518}));
}

TEST(RandomBits, PartsAndBatchesOfKeysGiveTheSameNumbers) {
  const Words whole = bits<uint32_t>(key_of(5), 40000);
  Words part(777);
  random_bits_part(key_of(5), 12345, 777, 32, part.data());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 12345));
  const Words keys = split(key_of(9), 301);
  std::vector<float> batched(301 * 77);
  random_normal(DType::kF32, keys.data(), 301, 77, kNew, batched.data(), nullptr);
  for (size_t k : {0u, 100u, 300u}) {
    const std::vector<float> alone = normal({keys[2 * k], keys[2 * k + 1]}, 77);
    EXPECT_TRUE(
        std::equal(alone.begin(), alone.end(), batched.begin() + static_cast<int64_t>(k) * 77));
  }
}

TEST(RandomUniform, ComputedVectors) {
  const Key key = key_of(1701);
  EXPECT_EQ(float_bits(uniform(key, 6)),
            (Words{0x3e84794c, 0x3f1fb574, 0x3e6857b0, 0x3df8e5d0, 0x3efd9c44, 0x3f759b64}));
  EXPECT_EQ(float_bits(uniform(key, 6, kNew, -3, 5)),
            (Words{0xbf6e1ad0, 0x3ffed5d0, 0xbf97a850, 0xc001c68c, 0x3f767110, 0x40959b64}));
  std::vector<float16> half(6);
  random_uniform(DType::kF16, key.data(), 1, 6, 0, 1, kNew, half.data(), nullptr);
  const int half_numerators[] = {668, 464, 944, 750, 137, 404};
  std::vector<bfloat16> brain(6);
  random_uniform(DType::kBF16, key.data(), 1, 6, 0, 1, kNew, brain.data(), nullptr);
  const int brain_numerators[] = {18, 29, 26, 89, 55, 30};
  std::vector<double> wide(6);
  random_uniform(DType::kF64, key.data(), 1, 6, 0, 1, kNew, wide.data(), nullptr);
  const double wide_numerators[] = {777042220474749.0, 89379027135005.0,   58927030179014.0,
                                    972248422974858.0, 4194464143313461.0, 3429600021673605.0};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(static_cast<float>(half[i]) * 1024, half_numerators[i]);
    EXPECT_EQ(static_cast<float>(brain[i]) * 128, brain_numerators[i]);
    EXPECT_EQ(wide[i] * 0x1p52, wide_numerators[i]);
  }
  EXPECT_THROW(random_uniform(DType::kI32, key.data(), 1, 6, 0, 1, kNew, wide.data(), nullptr),
               DTypeError);
}

TEST(RandomUniform, PublishedVectors) {
  expect_near(uniform(key_of(0), 3), {0.947667, 0.9785799, 0.33229148}, 1e-7);
  expect_near(uniform(key_of(51), 4), {0.471269, 0.12344253, 0.17550635, 0.5663593}, 1e-7);
  const Words keys = split(fold(key_of(123), 0), 3);
  const double expected[] = {0.35525954, 0.21937883, 0.5336956};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(uniform(fold({keys[2 * i], keys[2 * i + 1]}, 0), 1)[0], expected[i], 1e-7);
  }
  expect_near(uniform(distribution_key("uniform"), 5, kOld),
              {0.298671, 0.073213, 0.873356, 0.260549, 0.412797}, 1e-6);
  expect_near(uniform(key_of(42), 6, kOld, 0, 10),
              {7.298188, 8.691938, 8.7230015, 2.0818567, 1.8662417, 5.5022564}, 2e-6);
}

TEST(RandomNormal, ComputedVectors) {
  EXPECT_EQ(float_bits(normal(key_of(1701), 6)),
            (Words{0xbf25b198, 0x3ea19bb6, 0xbf3fc554, 0xbf956c1f, 0xbc3fad4e, 0x3fdf3496}));
  EXPECT_EQ(float_bits(truncated(key_of(1701), 6, -2, 2)),
            (Words{0xbf1d19bc, 0x3e9a05fa, 0xbf355f06, 0xbf8b0020, 0xbc36f4d6, 0x3fc56a05}));
}

TEST(RandomNormal, PublishedVectors) {
  expect_near(normal(key_of(0), 3), {1.6226422, 2.0252647, -0.43359444}, 3e-7);
  expect_near(normal(distribution_key("normal"), 5, kOld),
              {-1.173234, -1.511662, 0.070593, -0.099764, 1.052845}, 1e-6);
  expect_near(truncated(distribution_key("truncated_normal"), 5, 0, 2, kOld),
              {0.582807, 1.709771, 0.159513, 0.861376, 0.36148}, 1e-6);
}

TEST(RandomNormal, OtherTypesHaveTheRightMoments) {
  constexpr int64_t kCount = 40000;
  const Key key = key_of(3);
  std::vector<double> wide(kCount);
  std::vector<bfloat16> brain(kCount);
  std::vector<float16> half(kCount);
  random_normal(DType::kF64, key.data(), 1, kCount, kNew, wide.data(), nullptr);
  random_truncated_normal(DType::kBF16, key.data(), 1, kCount, -2, 2, kNew, brain.data(), nullptr);
  random_normal(DType::kF16, key.data(), 1, kCount, kNew, half.data(), nullptr);
  double mean = 0, square = 0, brain_square = 0, half_square = 0;
  for (size_t i = 0; i < kCount; ++i) {
    mean += wide[i] / kCount;
    square += wide[i] * wide[i] / kCount;
    const double b = static_cast<float>(brain[i]), h = static_cast<float>(half[i]);
    EXPECT_LT(std::abs(b), 2.0);
    brain_square += b * b / kCount;
    half_square += h * h / kCount;
  }
  EXPECT_NEAR(mean, 0, 0.02);
  EXPECT_NEAR(square, 1, 0.03);
  EXPECT_NEAR(brain_square, 0.774, 0.03);  // variance of a normal truncated at two deviations
  EXPECT_NEAR(half_square, 1, 0.03);
}

TEST(RandomNormal, InvertsTheErrorFunction) {
  const std::vector<float> values = normal(key_of(11), 100000);
  const std::vector<float> draws = uniform(key_of(11), 100000, kNew, -1, 1);
  for (size_t i = 0; i < values.size(); i += 97) {
    EXPECT_NEAR(std::erf(values[i] / std::sqrt(2.0)), draws[i], 4e-7) << values[i];
  }
}

TEST(Random, InstructionSetsGiveTheSameBits) {
  const auto sample = [] {
    std::vector<float> all = normal(key_of(21), 1003);
    const std::vector<float> narrow = truncated(key_of(22), 517, -1, 3),
                             ranged = uniform(key_of(23), 99, kNew, 0.1, 7.3);
    all.insert(all.end(), narrow.begin(), narrow.end());
    all.insert(all.end(), ranged.begin(), ranged.end());
    return float_bits(all);
  };
  const auto restrict_to = [](int64_t disabled) {
    hwy::DisableTargets(disabled);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  const Words best = sample();
  restrict_to(HWY_AVX3_DL | HWY_AVX3);
  EXPECT_EQ(sample(), best);
  restrict_to(HWY_AVX3_DL | HWY_AVX3 | HWY_AVX2);
  EXPECT_EQ(sample(), best);
  restrict_to(0);
}

TEST(Random, NothingIsWrittenForEmptyShapes) {
  const Key key = key_of(1);
  random_bits(key.data(), 1, 0, 32, kNew, nullptr, nullptr);
  random_bits(key.data(), 0, 5, 32, kNew, nullptr, nullptr);
  random_bits(key.data(), 1, 0, 64, kOld, nullptr, nullptr);
  random_normal(DType::kF32, key.data(), 1, 0, kNew, nullptr, nullptr);
  split_keys(key.data(), 1, 0, kNew, nullptr);
}

std::string hex(const std::array<uint8_t, 20>& digest) {
  const char* digits = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : digest) text += {digits[byte >> 4], digits[byte & 15]};
  return text;
}

std::array<uint8_t, 20> sha1_of(const std::string& text) {
  return sha1({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(Sha1, StandardMessages) {
  EXPECT_EQ(hex(sha1_of("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex(sha1_of("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(sha1_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex(sha1_of(std::string(1000000, 'a'))), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

}  // namespace
}  // namespace linnet::cpu::random_test
