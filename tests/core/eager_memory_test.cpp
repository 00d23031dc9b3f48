// Memory that eager operations use again and again: blocks kept per thread, and types checked once.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "linnet/device.h"
#include "linnet/error.h"
#include "linnet/ops.h"

namespace linnet::eager_memory_test {
namespace {

struct Block {
  void* memory;
  size_t bytes;
};

TEST(ThreadBlocks, blocks_of_every_size_are_apart) {
  Allocator& allocator = allocator_of(kCpu);
  const MemoryStats before = allocator.stats();
  for (int round = 0; round < 2; ++round) {
    std::vector<Block> blocks;
    size_t wanted = 0;
    for (size_t bytes = 0; bytes < 70'000; bytes = bytes * 9 / 8 + 1) {
      blocks.push_back({allocator.allocate(bytes), bytes});
      std::memset(blocks.back().memory, static_cast<int>(blocks.size()), bytes);
      wanted += bytes;
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto* values = static_cast<const unsigned char*>(blocks[i].memory);
      for (size_t k = 0; k < blocks[i].bytes; ++k) ASSERT_EQ(values[k], i + 1) << blocks[i].bytes;
    }
    EXPECT_LE(allocator.stats().live_bytes - before.live_bytes,
              wanted * 5 / 4 + 64 * blocks.size());
    for (const Block& block : blocks) allocator.deallocate(block.memory, block.bytes);
    EXPECT_EQ(allocator.stats().live_bytes, before.live_bytes);
    EXPECT_EQ(allocator.stats().allocations - before.allocations,
              blocks.size() * (static_cast<size_t>(round) + 1));
  }
}

TEST(ThreadBlocks, a_freed_block_serves_the_next_request_of_its_class) {
  Allocator& allocator = allocator_of(kCpu);
  for (const size_t bytes : {64, 1000, 32'768, 100'000}) {
    void* first = allocator.allocate(bytes);
    allocator.deallocate(first, bytes);
    const size_t reserved = allocator.stats().reserved_bytes;
    void* second = allocator.allocate(bytes);
    EXPECT_EQ(first, second) << bytes;
    EXPECT_EQ(allocator.stats().reserved_bytes, reserved) << bytes;
    allocator.deallocate(second, bytes);
  }
}

TEST(ThreadBlocks, may_be_freed_by_another_thread_and_outlive_theirs) {
  Allocator& allocator = allocator_of(kCpu);
  allocator.trim();
  const MemoryStats before = allocator.stats();
  constexpr size_t kThreads = 4, kBlocks = 500;
  std::vector<std::vector<Block>> blocks(kThreads);
  const auto in_threads = [](auto body) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
    for (std::thread& thread : threads) thread.join();
  };
  in_threads([&](size_t t) {
    for (size_t i = 0; i < kBlocks; ++i) {
      const size_t bytes = 1 + i * 37 % 5000;
      blocks[t].push_back({allocator.allocate(bytes), bytes});
    }
  });
  EXPECT_EQ(allocator.stats().allocations - before.allocations, kThreads * kBlocks);
  in_threads([&](size_t t) {
    for (const Block& block : blocks[(t + 1) % kThreads])
      allocator.deallocate(block.memory, block.bytes);
  });
  EXPECT_EQ(allocator.stats().live_bytes, before.live_bytes);
  EXPECT_EQ(allocator.stats().allocations - before.allocations, kThreads * kBlocks);
  allocator.trim();
  EXPECT_EQ(allocator.stats().reserved_bytes, before.reserved_bytes);
}

TEST(ThreadBlocks, of_other_threads_go_back_at_their_next_allocation_after_a_trim) {
  Allocator& allocator = allocator_of(kCpu);
  allocator.trim();
  const size_t reserved = allocator.stats().reserved_bytes;
  size_t after = 0;
  std::thread([&] {
    void* kept = allocator.allocate(4096);
    allocator.deallocate(kept, 4096);
    std::thread([&] { allocator.trim(); }).join();
    void* block = allocator.allocate(64);
    after = allocator.stats().reserved_bytes;
    allocator.deallocate(block, 64);
  }).join();
  EXPECT_EQ(after, reserved + 64);
}

TEST(ThreadBlocks, tensors_of_one_thread_dropped_by_another_leave_nothing) {
  const size_t live = memory_stats().live_bytes;
  for (int round = 0; round < 3; ++round) {
    std::vector<Tensor> made;
    std::thread([&] {
      for (int i = 0; i < 700; ++i) made.push_back(ones({16}) + static_cast<float>(i));
    }).join();
    EXPECT_EQ(made[699].to_vector<float>()[15], 700.f);
    std::thread([&] { made.clear(); }).join();
  }
  EXPECT_EQ(memory_stats().live_bytes, live);
}

TEST(EagerEvaluation, a_repeated_call_is_typed_and_refused_as_the_first) {
  const Tensor x = tensor({1.f, 2.f, 3.f}), n = tensor({1, 2, 3});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ((x + x).to_vector<float>(), (std::vector<float>{2, 4, 6}));
    EXPECT_EQ((x < 2).dtype(), DType::kBool);
    EXPECT_EQ(where(x < 2, x, -x).to_vector<float>(), (std::vector<float>{1, -2, -3}));
    EXPECT_EQ(bitwise_and(n, 2).to_vector<int>(), (std::vector<int>{0, 2, 2}));
    EXPECT_THROW(bitwise_and(x, x), DTypeError);
    EXPECT_TRUE((Tensor(2) + Tensor(3)).weak());
    EXPECT_FALSE((Tensor(2) < Tensor(3)).weak());
    EXPECT_FALSE((x + 1).weak());
  }
}

TEST(EagerEvaluation, kernels_chosen_before_follow_shapes_strides_and_parameters) {
  const Tensor x = arange(6.0, 12.0).reshape({2, 3});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(sum(x, Axes{0}).to_vector<float>(), (std::vector<float>{15, 17, 19}));
    EXPECT_EQ(sum(x, Axes{1}).to_vector<float>(), (std::vector<float>{21, 30}));
    EXPECT_EQ(sum(x.transpose(), Axes{0}).to_vector<float>(), (std::vector<float>{21, 30}));
    EXPECT_EQ(matmul(x, x.transpose()).to_vector<float>(),
              (std::vector<float>{149, 212, 212, 302}));
    EXPECT_EQ(cumsum(x, 1).to_vector<float>(), (std::vector<float>{6, 13, 21, 9, 19, 30}));
    EXPECT_EQ(cumsum(x, 1, true).to_vector<float>(), (std::vector<float>{21, 15, 8, 30, 21, 11}));
  }
}

}  // namespace
}  // namespace linnet::eager_memory_test
