// What loops ask of memory: nothing in a turn, and of the derivative what it reads.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "tests/failures/allocation_hook.h"

namespace linnet::loop_memory_test {
namespace {

using testing::CountedAllocations;

Tensor step(const Tensor& h, const Tensor& w, const Tensor& x) { return tanh(matmul(h, w) + x); }

/// Allocations of a later call of `f`.
template <class F, class... A>
int64_t allocations(const F& f, const A&... args) {
  f(args...);
  const CountedAllocations counted;
  f(args...);
  return CountedAllocations::count();
}

TEST(LoopMemory, a_turn_of_a_compiled_loop_allocates_nothing) {
  const auto with_length = [](int64_t length) {
    return jit([length](const Tensor& h, const Tensor& w) {
      return scan(
                 [&](const Tensor& c) {
                   const auto [inner, rows] =
                       scan([&](const Tensor& g) { return std::pair(step(g, w, g), sum(g, 0)); }, c,
                            {.length = 3});
                   const Tensor next = cond(
                       sum(inner) > 0, [&] { return inner; }, [&] { return -inner; });
                   return std::pair(softmax(next, -1), cumsum(rows, 0));
                 },
                 h, {.length = length})
          .first;
    });
  };
  const Tensor h = ones({4, 8}) * 0.1, w = eye(8);
  EXPECT_EQ(allocations(with_length(2), h, w), allocations(with_length(200), h, w));
}

TEST(LoopMemory, a_turn_of_a_compiled_while_loop_allocates_nothing) {
  const auto count_to = jit([](const Tensor& n, const Tensor& w) {
    return while_loop([&](const std::pair<Tensor, Tensor>& c) { return c.first < n; },
                      [&](const std::pair<Tensor, Tensor>& c) {
                        return std::pair(c.first + 1, step(c.second, w, c.second));
                      },
                      std::pair(Tensor(0), w))
        .second;
  });
  const Tensor w = eye(8);
  EXPECT_EQ(allocations(count_to, Tensor(3), w), allocations(count_to, Tensor(300), w));
}

/// Bytes that one more step costs in a compiled gradient.
template <class Loss>
int64_t bytes_per_step(const Loss& loss, int64_t n) {
  const auto bytes = [&](int64_t length) {
    const auto gradient =
        jit([&](const Tensor& w, const Tensor& xs) { return grad<0>(loss)(w, xs); });
    return static_cast<int64_t>(
        gradient.lower(zeros({n, n}), zeros({length, 16, n})).arena_bytes());
  };
  return (bytes(96) - bytes(32)) / 64;
}

TEST(LoopMemory, the_gradient_keeps_what_the_derivative_of_the_body_reads) {
  constexpr int64_t kSize = 64, kRow = 16 * kSize * 4;
  const auto last = [](const Tensor& w, const Tensor& xs) {
    return sum(scan([&](const Tensor& h,
                        const Tensor& x) { return std::pair(step(h, w, x), std::tuple<>()); },
                    zeros({16, kSize}), xs)
                   .first);
  };
  // The state before the step, for the product, and the one after it, for tanh; on the way back the
  // cotangents of the product, for the one product that gives the gradient of w.
  EXPECT_NEAR(bytes_per_step(last, kSize), 3 * kRow, kRow / 64);
  // A sequence that nothing changes is not kept: it is read again.
  const auto inputs = [](const Tensor& w, const Tensor& xs) {
    return sum(scan([&](const Tensor& h,
                        const Tensor& x) { return std::pair(h + x * sin(w[0]), std::tuple<>()); },
                    zeros({16, kSize}), xs)
                   .first);
  };
  EXPECT_NEAR(bytes_per_step(inputs, kSize), 0, kRow / 64);
  // Recomputation keeps the state before each step alone.
  const auto recomputed = [](const Tensor& w, const Tensor& xs) {
    return sum(scan(
                   [&](const Tensor& h, const Tensor& x) {
                     const auto twice = [&](const Tensor& g) {
                       return step(step(step(g, w, x), w, x), w, x);
                     };
                     return std::pair(checkpoint(twice)(h), std::tuple<>());
                   },
                   zeros({16, kSize}), xs)
                   .first);
  };
  EXPECT_NEAR(bytes_per_step(recomputed, kSize), kRow, kRow / 64);
}

}  // namespace
}  // namespace linnet::loop_memory_test
