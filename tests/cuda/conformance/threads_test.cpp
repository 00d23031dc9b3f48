#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "cuda/conformance/run.h"

namespace linnet::cuda::threads_test {
namespace {

using Words = std::vector<uint32_t>;

// Words below 2^31.
Words some_words(size_t count) {
  Words words(count);
  uint32_t x = 12345;
  for (uint32_t& word : words) word = (x = x * 1664525u + 1013904223u) >> 1;
  return words;
}

// The value that begins at a word.
template <class T>
T value_at(const Words& words, size_t at) {
  T value;
  std::memcpy(&value, &words[at], sizeof value);
  return value;
}

class Conformance : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { use_order(GetParam()); }
};

TEST_P(Conformance, Positions) {
  const Words out =
      run_conformance({.kernel = "conformance_positions", .threads = 96, .blocks = {2, 3, 2}}, {0},
                      2 * 3 * 2 * 96 * 10);
  size_t at = 0;
  for (uint32_t z = 0; z < 2; ++z) {
    for (uint32_t y = 0; y < 3; ++y) {
      for (uint32_t x = 0; x < 2; ++x) {
        for (uint32_t t = 0; t < 96; ++t, at += 10) {
          const Words expected{t, t % 32, t / 32, 96, x, y, z, 2, 3, 2};
          ASSERT_EQ(Words(&out[at], &out[at] + 10), expected);
        }
      }
    }
  }
}

TEST_P(Conformance, SharedMemory) {
  const Words in = some_words(256);
  const Words out = run_conformance(
      {.kernel = "conformance_shared", .threads = 256, .shared_bytes = 1024}, in, 512);
  for (uint32_t t = 0; t < 256; ++t) {
    EXPECT_EQ(out[t], in[255 - (t + 249) % 256]) << t;
    EXPECT_EQ(out[256 + t], (t ^ 1) + (in[t ^ 3] << 16)) << t;
  }
}

TEST_P(Conformance, Barriers) {
  const Words in = some_words(256);
  const Words out = run_conformance({.kernel = "conformance_barriers", .threads = 256}, in, 256);
  Words expected(256);
  std::partial_sum(in.begin(), in.end(), expected.begin());
  EXPECT_EQ(out, expected);
}

TEST_P(Conformance, SyncWarp) {
  const Words in = some_words(64);
  const Words out = run_conformance({.kernel = "conformance_sync_warp", .threads = 64}, in, 64);
  for (uint32_t t = 0; t < 64; ++t) EXPECT_EQ(out[t], in[(t / 32 * 32 + (t + 2) % 32) ^ 1]) << t;
}

// The lane that each of the four ways reads.
uint32_t lane_read(int way, uint32_t lane, uint32_t lanes) {
  if (way == 0) return (lane * 7 + lanes) % 32;
  if (way == 1) return lane ^ lanes;
  if (way == 2) return lane >= lanes ? lane - lanes : lane;
  return lane + lanes < 32 ? lane + lanes : lane;
}

template <class T>
void expect_shuffles(const Words& in, const Words& out, uint32_t t, size_t at, uint32_t lanes) {
  for (int way = 0; way < 4; ++way) {
    const uint32_t word = in[t / 32 * 32 + lane_read(way, t % 32, lanes)];
    const T expected = static_cast<T>(word) * static_cast<T>(sizeof(T) == 8 ? 0x100000001 : 1);
    EXPECT_EQ(value_at<T>(out, at + static_cast<size_t>(way) * sizeof(T) / 4), expected)
        << "thread " << t << ", way " << way << ", " << lanes << " lanes";
  }
}

uint32_t votes(const Words& in, uint32_t first, uint32_t count, uint32_t bit) {
  uint32_t result = 0;
  for (uint32_t i = first; i < first + count; ++i) result |= uint32_t{(in[i] & bit) != 0} << i % 32;
  return result;
}

TEST_P(Conformance, ShufflesAndBallots) {
  const Words in = some_words(64);
  for (uint32_t lanes : {0u, 1u, 5u, 16u, 31u}) {
    const Words out = run_conformance(
        {.kernel = "conformance_shuffles", .threads = 64, .count = static_cast<int>(lanes)}, in,
        64 * 32);
    for (uint32_t t = 0; t < 64; ++t) {
      const size_t at = size_t{t} * 32;
      expect_shuffles<uint32_t>(in, out, t, at, lanes);
      expect_shuffles<int>(in, out, t, at + 4, lanes);
      expect_shuffles<float>(in, out, t, at + 8, lanes);
      expect_shuffles<double>(in, out, t, at + 12, lanes);
      expect_shuffles<int64_t>(in, out, t, at + 20, lanes);
      EXPECT_EQ(out[at + 28], in[t / 8 * 8 + 3]);
      EXPECT_EQ(out[at + 29], in[t ^ 5]);
      EXPECT_EQ(out[at + 30], votes(in, t / 8 * 8, 8, 1));
      EXPECT_EQ(out[at + 31], votes(in, t / 32 * 32, 32, 2));
    }
  }
}

TEST_P(Conformance, Atomics) {
  const Words in = some_words(5 * 64);
  const Words out =
      run_conformance({.kernel = "conformance_atomics", .threads = 64, .blocks = {5}}, in, 26);
  uint64_t sum = 0, small = 0, most = 0;
  uint32_t product = 0;
  for (uint32_t word : in) {
    sum += word;
    small += word & 255;
    most = std::max<uint64_t>(most, word);
    product = (product + 1) * 3;
  }
  EXPECT_EQ(out[0], static_cast<uint32_t>(sum));
  EXPECT_EQ(out[1], 0u - static_cast<uint32_t>(sum));
  EXPECT_EQ(value_at<float>(out, 2), static_cast<float>(small));
  EXPECT_EQ(out[3], most);
  EXPECT_EQ(out[4], most);
  EXPECT_EQ(out[5], 0u);
  EXPECT_EQ(value_at<double>(out, 6), static_cast<double>(sum));
  EXPECT_EQ(value_at<uint64_t>(out, 8), sum << 8);
  EXPECT_EQ(value_at<int64_t>(out, 10), -static_cast<int64_t>(sum));
  EXPECT_EQ(value_at<int64_t>(out, 12), static_cast<int64_t>(most) << 4);
  EXPECT_EQ(value_at<int64_t>(out, 14), -static_cast<int64_t>(most));
  EXPECT_EQ(value_at<uint64_t>(out, 16), most << 32);
  EXPECT_EQ(out[18], product);
  EXPECT_EQ(out[19] + out[20], static_cast<uint32_t>(sum));
  EXPECT_EQ(value_at<float>(out, 21), 2.5f);
  EXPECT_EQ(value_at<double>(out, 22), 2.5);
  EXPECT_EQ(value_at<double>(out, 24), 1.5);
}

TEST_P(Conformance, AtomicsReturnWhatWasThere) {
  const Words out =
      run_conformance({.kernel = "conformance_atomic_returns", .threads = 32}, {0}, 10);
  EXPECT_EQ(Words(out.begin(), out.begin() + 7), (Words{12, 0, 7, 9, 4, 11, 11}));
  EXPECT_EQ(value_at<float>(out, 7), 0.0f);
  EXPECT_EQ(value_at<float>(out, 8), 3.5f);
  EXPECT_EQ(value_at<float>(out, 9), 1.5f);
}

TEST_P(Conformance, TheLastBlockSeesAllSums) {
  const Words in = some_words(64 * 7);
  const Words out =
      run_conformance({.kernel = "conformance_fence", .threads = 64, .blocks = {7}}, in, 2 + 7);
  EXPECT_EQ(out[0], std::accumulate(in.begin(), in.end(), 0u));
  EXPECT_EQ(out[1], 7u);
}

INSTANTIATE_TEST_SUITE_P(Orders, Conformance,
                         testing::Range(size_t{0}, conformance_orders().size()),
                         [](const auto& info) { return conformance_orders()[info.param]; });

}  // namespace
}  // namespace linnet::cuda::threads_test
