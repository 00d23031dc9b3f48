// Memory: the CPU allocator's promises, and what is left when an allocation fails anywhere.
#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "core/tensor/tensor_impl.h"
#include "tests/core/core_support.h"

namespace linnet::allocator_test {
namespace {

using test::Box;
using test::expect_error;
using test::FailingAllocator;

TEST(Allocator, blocks_are_aligned_and_writable) {
  Allocator& allocator = allocator_of(kCpu);
  for (size_t bytes : {0, 1, 63, 64, 65, 1000, 4096, 100000, 5000000}) {
    void* block = allocator.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u) << bytes;
    std::memset(block, 1, bytes);
    allocator.deallocate(block, bytes);
  }
}

TEST(Allocator, statistics_follow_every_block) {
  Allocator& allocator = allocator_of(kCpu);
  const MemoryStats before = allocator.stats();
  allocator.reset_peak();
  void* a = allocator.allocate(1000);
  void* b = allocator.allocate(100000);
  const MemoryStats during = allocator.stats();
  EXPECT_EQ(during.allocations, before.allocations + 2);
  EXPECT_GE(during.live_bytes, before.live_bytes + 101000);
  EXPECT_LE(during.live_bytes, before.live_bytes + 101000 * 5 / 4 + 128)
      << "size classes waste under a quarter";
  EXPECT_GE(during.reserved_bytes, during.live_bytes);
  allocator.deallocate(a, 1000);
  allocator.deallocate(b, 100000);
  const MemoryStats after = allocator.stats();
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  EXPECT_EQ(after.peak_bytes, during.live_bytes);
  EXPECT_EQ(after.reserved_bytes, during.reserved_bytes) << "freed blocks are kept";
  allocator.reset_peak();
  EXPECT_EQ(allocator.stats().peak_bytes, after.live_bytes);
}

TEST(Allocator, freed_blocks_are_used_again_until_trimmed) {
  Allocator& allocator = allocator_of(kCpu);
  void* first = allocator.allocate(70000);
  allocator.deallocate(first, 70000);
  void* second = allocator.allocate(69999);
  EXPECT_EQ(first, second) << "same size class";
  allocator.deallocate(second, 69999);
  allocator.trim();
  EXPECT_EQ(allocator.stats().reserved_bytes, allocator.stats().live_bytes);
}

TEST(Allocator, a_chain_of_temporaries_uses_the_same_buffers) {
  Tensor x = test::ramp({1000});
  const size_t before = memory_stats().live_bytes;
  allocator_of(kCpu).reset_peak();
  for (int i = 0; i < 20; ++i) x = sin(x) * 2 + 1;
  EXPECT_EQ(memory_stats().live_bytes, before);
  EXPECT_LE(memory_stats().peak_bytes, before + 3 * 4096)
      << "C++ keeps the temporaries of one statement";
}

TEST(Allocator, R_043_impossible_sizes_are_an_error_with_numbers_that_changes_nothing) {
  const MemoryStats before = memory_stats();
  const int64_t size = (int64_t{1} << 62) + 1;
  const auto text = [](auto number) { return std::to_string(number); };
  expect_error<DeviceError>("cpu:0: cannot allocate " + text(size) + " bytes; " +
                                text(before.live_bytes) + " bytes are live, " +
                                text(before.peak_bytes) + " were at most, " +
                                text(before.reserved_bytes) + " are reserved; wanted for full",
                            [&] { zeros({size}, DType::kI8); });
  EXPECT_EQ(memory_stats().live_bytes, before.live_bytes);
  EXPECT_EQ(memory_stats().allocations, before.allocations);
}

/// A limit for a scope.
class Limited {
 public:
  Limited(Device device, size_t bytes) : device_(device) { set_memory_limit(device, bytes); }
  ~Limited() { set_memory_limit(device_, 0); }

 private:
  Device device_;
};

TEST(Allocator, R_033_memory_beyond_the_limit_is_an_error_that_names_sizes_and_limit) {
  allocator_of(kCpu).trim();
  const MemoryStats before = memory_stats();
  const size_t limit = before.live_bytes + (size_t{8} << 20);
  const Limited scope(kCpu, limit);
  EXPECT_EQ(memory_limit(), limit);
  const Tensor fits = zeros({1 << 20});
  EXPECT_EQ(sum(fits).item<float>(), 0);
  const size_t live = memory_stats().live_bytes;
  expect_error<DeviceError>([] { zeros({2 << 20}); },
                            "cpu:0: cannot allocate 8388608 bytes within the limit of " +
                                std::to_string(limit) + " bytes; " + std::to_string(live) +
                                " bytes are live");
  EXPECT_EQ(memory_stats().live_bytes, live);
  set_memory_limit(kCpu, 0);
  EXPECT_EQ(zeros({2 << 20}).size(), 2 << 20);
}

TEST(Allocator, R_033_kept_blocks_are_given_back_before_the_limit_is_passed) {
  allocator_of(kCpu).trim();
  const Limited scope(kCpu, memory_stats().live_bytes + (size_t{10} << 20));
  for (const int64_t mebibytes : {6, 7, 8, 9}) {
    EXPECT_EQ(zeros({mebibytes << 20}, DType::kI8).size(), mebibytes << 20);
    EXPECT_LE(memory_stats().reserved_bytes, memory_limit() + (size_t{2} << 20))
        << "but for size classes";
  }
}

TEST(Allocator, R_033_a_step_beyond_the_limit_leaves_its_state) {
  Tensor state = full({1 << 18}, 2.f);
  const auto step = jit([](Tensor& s, const Tensor& x) {
    s = s * 0.5;
    return matmul(x, x.T());
  });
  step(state, ones({8, 4}));
  ASSERT_EQ(state[0].item<float>(), 1);
  const void* memory = state.impl()->data;
  const Tensor x = ones({2048, 1});
  const Limited scope(kCpu, memory_stats().live_bytes + (size_t{4} << 20));
  EXPECT_THROW(step(state, x), DeviceError);
  EXPECT_EQ(state.to_vector<float>(), std::vector<float>(1 << 18, 1.f));
  EXPECT_EQ(state.impl()->data, memory);
  set_memory_limit(kCpu, 0);
  step(state, x);
  EXPECT_EQ(state[0].item<float>(), 0.5f);
}

TEST(Allocator, R_033_threads_do_not_pass_the_limit_together) {
  allocator_of(kCpu).trim();
  const size_t limit = memory_stats().live_bytes + (size_t{10} << 20);
  const Limited scope(kCpu, limit);
  allocator_of(kCpu).reset_peak();
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        try {
          zeros({1 << 20});
        } catch (const DeviceError&) {
          ++refused;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(memory_stats().peak_bytes, limit + (size_t{2} << 20)) << "but for size classes";
  EXPECT_LT(refused, 200);
}

TEST(Allocator, R_043_the_largest_owners_are_named) {
  Tensor weights, more, hidden;
  {
    const ModulePathScope encoder("encoder");
    const ModulePathScope layer("dense");
    weights = full({3 << 20}, 1.f);
    more = full({1 << 20}, 1.f);
  }
  hidden = exp(ones({2 << 20}));
  const std::vector<float> values(size_t{1} << 19, 1.f);
  const Tensor host = from_vector(values, {1 << 19});
  const Limited scope(kCpu, memory_stats().live_bytes + 1000);
  const auto refusal = [] {
    try {
      zeros({16 << 20});
    } catch (const DeviceError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::string text = refusal();
  EXPECT_NE(text.find("the largest owners:\n  encoder/dense (full): 16.0 MiB in 2 blocks"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n  exp: 8.0 MiB in 1 block"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  values of the host: 2.0 MiB in 1 block"), std::string::npos) << text;
  weights = more = Tensor();
  EXPECT_EQ(refusal().find("encoder"), std::string::npos);
}

TEST(Allocator, devices_without_a_back_end_are_named) {
  expect_error<DeviceError>(
      [] {
        allocator_of({static_cast<DeviceType>(9), 3});
      },
      "ext:3: no back end for this device is linked in or registered");
  expect_error<DeviceError>("cpu:9: at most 8 devices of a type are supported", [] {
    allocator_of({DeviceType::kCpu, 9});
  });
}

TEST(Allocator, blocks_return_to_the_allocator_that_made_them) {
  Tensor old = test::ramp({1000});
  const Tensor kept = old;
  Tensor fresh;
  {
    FailingAllocator replacement;
    fresh = old + 1;
    EXPECT_GT(replacement.live(), 0);
    old = Tensor();
    fresh = Tensor();
    EXPECT_EQ(replacement.live(), 0);
  }
  EXPECT_FLOAT_EQ(kept[10].item<float>(), 1);
}

TEST(Allocator, threads_never_share_a_block) {
  Allocator& allocator = allocator_of(kCpu);
  const size_t before = allocator.stats().live_bytes;
  std::vector<std::thread> threads;
  std::atomic<int> clashes{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::pair<char*, size_t>> mine;
      for (int i = 0; i < 2000; ++i) {
        const size_t bytes = 64 + static_cast<size_t>(i % 7) * 100;
        char* block = static_cast<char*>(allocator.allocate(bytes));
        std::memset(block, t + 1, bytes);
        mine.emplace_back(block, bytes);
        if (i % 3) continue;
        for (size_t k : {size_t{0}, mine[0].second - 1}) clashes += mine[0].first[k] != t + 1;
        allocator.deallocate(mine[0].first, mine[0].second);
        mine.erase(mine.begin());
      }
      for (auto& [block, bytes] : mine) allocator.deallocate(block, bytes);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clashes, 0);
  EXPECT_EQ(allocator.stats().live_bytes, before);
}

/// Runs `scenario` with the first, the second, … allocation failing until none does. After every
/// failure nothing may have leaked, `unchanged` must hold, and the scenario must succeed when
/// repeated.
void fail_everywhere(
    FailingAllocator& allocator, const std::function<void()>& scenario,
    const std::function<bool()>& unchanged, const std::function<void()>& remember = [] {}) {
  scenario();  // prepares kernels and fills caches
  for (int64_t at = 0;; ++at) {
    ASSERT_LT(at, 1000);
    remember();
    const int64_t live = allocator.live();
    allocator.arm(at);
    bool failed = false;
    try {
      scenario();
    } catch (const DeviceError&) {
      failed = true;
    }
    const int64_t made = allocator.count();
    allocator.arm(-1);
    if (!failed) {
      EXPECT_LE(made, at) << "an allocation failed and nobody noticed";
      EXPECT_GT(at, 0) << "the scenario allocates nothing";
      return;
    }
    EXPECT_EQ(allocator.live(), live) << "leak after failure " << at;
    EXPECT_TRUE(unchanged()) << "changed by failure " << at;
    scenario();
  }
}

/// R-041 for tensors: results that never change, as bits.
bool same(const Tensor& a, const Tensor& b) { return a.to_vector<float>() == b.to_vector<float>(); }

Tensor network(const std::vector<Tensor>& w, const Tensor& x) {
  return mean(square(matmul(tanh(matmul(x, w[0]) + w[1]), w[2])));
}
std::vector<Tensor> weights() {
  return {test::ramp({8, 16}), test::ramp({16}), test::ramp({16, 4})};
}

TEST(AllocationFailure, R_041_eager_operations) {
  FailingAllocator allocator;
  const Tensor x = test::ramp({8, 8}), image = test::ramp({1, 6, 6, 3}),
               kernel = test::ramp({3, 3, 3, 4});
  const Tensor copy = x + 0;
  fail_everywhere(
      allocator, [&] { (void)(matmul(x, transpose(x)) + exp(x) * softmax(x)); },
      [&] { return same(x, copy); });
  fail_everywhere(
      allocator,
      [&] {
        (void)conv_general_dilated(image, kernel, {.strides = {2, 2}});
      },
      [&] { return true; });
  fail_everywhere(
      allocator,
      [&] {
        (void)sort(concatenate({x, x.transpose()}), 0);
      },
      [&] { return same(x, copy); });
  fail_everywhere(
      allocator, [&] { (void)x.transpose().contiguous(); }, [&] { return same(x, copy); });
  fail_everywhere(
      allocator, [&] { (void)layer_norm(x, ones({8}), zeros({8})); },
      [&] { return same(x, copy); });
}

TEST(AllocationFailure, R_041_gradients_leave_variables_alone) {
  FailingAllocator allocator;
  const std::vector<Tensor> w = weights();
  const Tensor x = test::ramp({32, 8});
  Box statistic(zeros({8}));
  Tensor before = statistic.value();
  const auto loss = [&](const std::vector<Tensor>& p) {
    statistic = statistic.value() * 0.9 + mean(x, Axes{0});
    return network(p, x);
  };
  fail_everywhere(
      allocator, [&] { (void)value_and_grad(loss)(w); },
      [&] { return statistic.value().impl() == before.impl(); },
      [&] { before = statistic.value(); });
}

TEST(AllocationFailure, R_041_vmap_and_jvp) {
  FailingAllocator allocator;
  const std::vector<Tensor> w = weights();
  const Tensor x = test::ramp({5, 32, 8});
  fail_everywhere(
      allocator, [&] { (void)vmap([&](const Tensor& row) { return network(w, row); })(x); },
      [] { return true; });
  fail_everywhere(
      allocator,
      [&] {
        (void)jvp([&](const Tensor& row) { return network(w, row); }, x[0], ones({32, 8}));
      },
      [] { return true; });
}

/// A training step on plain tensors; everything of it is donated.
struct Training {
  std::vector<Tensor> w = weights();
  Tensor momentum = zeros({8, 16});
  Box steps{zeros({64})};
  LINNET_FIELDS(w, momentum, steps)
};
Tensor train(Training& t, const Tensor& x) {
  const auto [loss, g] =
      value_and_grad([&](const std::vector<Tensor>& w) { return network(w, x); })(t.w);
  t.momentum = t.momentum * 0.5 + g[0];
  t.w = tree::map(t.w, g, [](const Tensor& a, const Tensor& b) { return a - b * 0.1; });
  t.w[0] = t.w[0] - t.momentum;
  // Primitives that need memory of their own at run time.
  t.steps = sort(t.steps.value() + 1);
  return loss;
}

std::vector<std::vector<float>> snapshot(const Training& t) {
  std::vector<std::vector<float>> out;
  for (const Tensor& leaf : tree::leaves(t)) out.push_back(test::values(leaf));
  return out;
}

TEST(AllocationFailure, R_041_a_jitted_step_changes_all_of_its_state_or_nothing) {
  FailingAllocator allocator;
  Training training;
  const Tensor x = test::ramp({32, 8});
  const auto step = jit([](Training& t, const Tensor& batch) { return train(t, batch); });
  std::vector<std::vector<float>> before;
  fail_everywhere(
      allocator, [&] { (void)step(training, x); }, [&] { return snapshot(training) == before; },
      [&] { before = snapshot(training); });
}

TEST(AllocationFailure, R_041_the_first_call_of_a_jitted_step) {
  FailingAllocator allocator;
  Training training;
  const Tensor x = test::ramp({32, 8});
  std::vector<std::vector<float>> before;
  fail_everywhere(
      allocator,
      [&] {
        const auto step = jit([](Training& t, const Tensor& batch) { return train(t, batch); });
        (void)step(training, x);
      },
      [&] { return snapshot(training) == before; }, [&] { before = snapshot(training); });
}

}  // namespace
}  // namespace linnet::allocator_test
