// jit: the programs it keeps.
#include "tests/core/core_support.h"

namespace linnet::jit_cache_test {
namespace {

using test::floats;
using test::values;

TEST(Jit, copies_share_the_cache) {
  const auto f = jit([](const Tensor& x) { return x + 1; });
  const auto g = f;
  g(tensor({1.f}));
  f(tensor({1.f}));
  EXPECT_EQ(f.trace_count(), 1u);
}

TEST(Jit, the_cache_goes_with_the_function) {
  const size_t before = memory_stats().live_bytes;
  {
    const Tensor captured = test::ramp({1000});
    const auto f = jit([captured](const Tensor& x) { return x + captured; });
    f(test::ramp({1000}));
  }
  EXPECT_EQ(memory_stats().live_bytes, before);
}

TEST(Jit, R_059_the_cache_is_bounded) {
  const auto f = jit([](const Tensor& x, int n) { return x + n; });
  const Tensor x = zeros({2});
  for (int n = 0; n < 257; ++n) f(x, n);
  EXPECT_EQ(f.trace_count(), 257u);
  f(x, 256);
  f(x, 1);
  EXPECT_EQ(f.trace_count(), 257u);
  EXPECT_EQ(values(f(x, 0)), floats({0, 0}));
  EXPECT_EQ(f.trace_count(), 258u) << "the oldest had gone";
}

TEST(Jit, R_059_the_size_of_the_cache_is_an_option_and_it_can_be_emptied) {
  const auto f = jit([](const Tensor& x, int n) { return x + n; }, {.cache_size = 2});
  const Tensor x = zeros({2});
  for (int n : {0, 1, 2}) f(x, n);
  f(x, 2);
  f(x, 1);
  EXPECT_EQ(f.trace_count(), 3u);
  f(x, 0);
  EXPECT_EQ(f.trace_count(), 4u) << "the oldest had gone";
  f.clear();
  EXPECT_EQ(values(f(x, 0)), floats({0, 0}));
  EXPECT_EQ(f.trace_count(), 5u);
}

}  // namespace
}  // namespace linnet::jit_cache_test
