// Pools and their gradients against double loops, ties and padding included.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/cpu/pool/pool.h"
#include "tests/kernels/onednn_test_util.h"

namespace linnet::cpu::onednn_pool_test {
namespace {

using test::Buffer;
using test::expect_near;
using test::run;

std::string name(const PoolSpec& s) {
  return fmt::format("kind {} n {} c {} in {} window {} strides {} low {} high {} dilation {} {}",
                     int(s.kind), s.batch, s.channels, to_string(s.in_size), to_string(s.window),
                     to_string(s.strides), to_string(s.padding_low), to_string(s.padding_high),
                     to_string(s.dilation), name_of(s.dtype));
}

int64_t at_or(const Shape& values, size_t i, int64_t fallback) {
  return values.empty() ? fallback : values[i];
}

/// Input elements of each window of each channel, in row-major order of the window.
std::vector<std::vector<int64_t>> windows(const PoolSpec& s) {
  const Shape out = s.out_size();
  const size_t rank = out.size();
  std::vector<std::vector<int64_t>> result;
  for (int64_t n = 0; n < s.batch; ++n) {
    for (int64_t o = 0; o < element_count(out); ++o) {
      for (int64_t c = 0; c < s.channels; ++c) {
        std::vector<int64_t> members;
        for (int64_t t = 0; t < element_count(s.window); ++t) {
          int64_t rest_o = o, rest_t = t, pixel = 0, scale = 1;
          bool inside = true;
          for (size_t i = rank; i-- > 0;
               rest_o /= out[i], rest_t /= s.window[i], scale *= s.in_size[i]) {
            const int64_t at = rest_o % out[i] * at_or(s.strides, i, 1) -
                               at_or(s.padding_low, i, 0) +
                               rest_t % s.window[i] * at_or(s.dilation, i, 1);
            inside = inside && at >= 0 && at < s.in_size[i];
            pixel += at * scale;
          }
          if (inside) members.push_back((n * element_count(s.in_size) + pixel) * s.channels + c);
        }
        result.push_back(std::move(members));
      }
    }
  }
  return result;
}

struct Expected {
  std::vector<double> y, dx;
};

Expected reference(const PoolSpec& s, const Buffer& x, const Buffer& dy) {
  Expected e{{}, std::vector<double>(x.count(), 0.0)};
  int64_t index = 0;
  for (const std::vector<int64_t>& members : windows(s)) {
    const double gradient = dy.get(index++);
    if (s.kind == PoolKind::kMax) {
      double best = -std::numeric_limits<double>::infinity();
      int64_t at = -1;
      for (int64_t m : members) {
        if (at < 0 || x.get(m) > best) best = x.get(m), at = m;
      }
      e.y.push_back(best);
      if (at >= 0) e.dx[at] += gradient;
      continue;
    }
    const double count = s.kind == PoolKind::kSum ? 1.0
                         : s.kind == PoolKind::kAverageIncludePadding
                             ? static_cast<double>(element_count(s.window))
                             : static_cast<double>(members.size());
    double sum = 0;
    for (int64_t m : members) {
      sum += x.get(m);
      e.dx[m] += gradient / count;
    }
    e.y.push_back(sum / count);
  }
  return e;
}

void check_one(const PoolSpec& s) {
  const int64_t in = s.batch * element_count(s.in_size) * s.channels;
  const int64_t out = s.batch * element_count(s.out_size()) * s.channels;
  Buffer x(s.dtype, in), y(s.dtype, out), dy(s.dtype, out), dx(s.dtype, in);
  // Few distinct values, so that ties are common.
  x.fill_random(11);
  for (int64_t i = 0; i < in; ++i) x.set(i, std::round(x.get(i) * 4) / 4);
  dy.fill_random(12);
  y.fill(7), dx.fill(7);
  const Expected e = reference(s, x, dy);
  const PrepareResult forward = prepare_pool_forward(s), backward = prepare_pool_backward(s);
  ASSERT_TRUE(forward.kernel) << name(s) << ": " << forward.declined;
  ASSERT_TRUE(backward.kernel) << name(s) << ": " << backward.declined;
  run(*forward.kernel, {&x}, {&y});
  if (s.kind == PoolKind::kMax) {
    run(*backward.kernel, {&x, &dy}, {&dx});
  } else {
    run(*backward.kernel, {&dy}, {&dx});
  }
  const double tolerance = s.dtype == DType::kBF16 ? 8e-3 : s.dtype == DType::kF32 ? 2e-6 : 1e-14;
  expect_near(y, e.y, tolerance, "forward " + name(s));
  expect_near(dx, e.dx, tolerance, "gradient " + name(s));
}

void check(PoolSpec s) {
  for (PoolKind kind : {PoolKind::kMax, PoolKind::kSum, PoolKind::kAverageIncludePadding,
                        PoolKind::kAverageExcludePadding}) {
    for (DType dtype : {DType::kF32, DType::kF64, DType::kBF16}) {
      for (int threads : {1, 2}) {
        const test::Threads scope(threads);
        s.kind = kind, s.dtype = dtype;
        check_one(s);
      }
    }
  }
}

PoolSpec plane(int64_t n, int64_t channels, Shape in, Shape window, Shape strides) {
  PoolSpec s;
  s.batch = n, s.channels = channels, s.in_size = in, s.window = window, s.strides = strides;
  return s;
}

TEST(Pool, TilingWindows) {
  for (int64_t channels : {1, 3, 16, 37, 64, 100})
    check(plane(3, channels, {8, 6}, {2, 2}, {2, 2}));
}

TEST(Pool, SeparateWindowsThatLeaveElementsOut) {
  check(plane(2, 20, {9, 11}, {2, 2}, {2, 3}));
  check(plane(2, 20, {7, 7}, {2, 3}, {2, 3}));
}

TEST(Pool, OverlappingAndPaddedWindows) {
  for (int64_t channels : {5, 70}) {
    PoolSpec s = plane(2, channels, {9, 8}, {3, 3}, {2, 2});
    check(s);
    s.padding_low = {1, 0}, s.padding_high = {1, 2};
    check(s);
    s.strides = {};
    check(s);
    s.window = {2, 3}, s.dilation = {3, 2};
    check(s);
    s.padding_low = {-1, -2};
    check(s);
  }
}

TEST(Pool, OneAndThreeDimensionsAndTheWholeImage) {
  check(plane(2, 9, {15}, {4}, {3}));
  check(plane(2, 18, {4, 5, 6}, {2, 3, 2}, {2, 1, 3}));
  check(plane(2, 33, {7, 7}, {7, 7}, {}));
}

TEST(Pool, LargeEnoughForThreads) { check(plane(1, 130, {18, 18}, {2, 2}, {2, 2})); }

TEST(Pool, EveryInstructionSet) {
  for (int64_t target : test::InstructionSet::all()) {
    const test::InstructionSet scope(target);
    check(plane(2, 37, {7, 6}, {3, 2}, {2, 1}));
    check(plane(2, 37, {6, 6}, {3, 2}, {3, 2}));
  }
}

TEST(Pool, MaximumOfPaddingAndOfNotANumber) {
  PoolSpec s = plane(1, 2, {2}, {2}, {2});
  s.padding_low = {2};
  Buffer x(DType::kF32, 4), y(DType::kF32, 4);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  x.set(0, nan), x.set(1, 3), x.set(2, 5), x.set(3, nan);
  run(*prepare_pool_forward(s).kernel, {&x}, {&y});
  EXPECT_EQ(y.get(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(y.get(1), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(y.get(2)));
  EXPECT_TRUE(std::isnan(y.get(3)));
}

TEST(Pool, TiesGoToTheFirstPosition) {
  const PoolSpec s = plane(1, 1, {2, 2}, {2, 2}, {2, 2});
  Buffer x(DType::kF32, 4), dy(DType::kF32, 1), dx(DType::kF32, 4);
  x.set(0, -1), x.set(1, 2), x.set(2, 2), x.set(3, 2);
  dy.set(0, 5);
  run(*prepare_pool_backward(s).kernel, {&x, &dy}, {&dx});
  expect_near(dx, {0, 5, 0, 0}, 0, "ties");
  const double infinity = std::numeric_limits<double>::infinity();
  x.fill(-infinity);
  run(*prepare_pool_backward(s).kernel, {&x, &dy}, {&dx});
  expect_near(dx, {5, 0, 0, 0}, 0, "all minus infinity");
}

TEST(Pool, Declines) {
  PoolSpec s = plane(1, 1, {2, 2}, {2, 2}, {2, 2});
  s.dtype = DType::kI32;
  EXPECT_NE(prepare_pool_forward(s).declined.find("i32"), std::string::npos);
  s.dtype = DType::kF32;
  s.window = {3, 3};
  EXPECT_FALSE(prepare_pool_backward(s).kernel);
}

}  // namespace
}  // namespace linnet::cpu::onednn_pool_test
