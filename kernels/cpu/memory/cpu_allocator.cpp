// The CPU allocator: size classes with cached free blocks, small ones per thread, 64-byte
// alignment, statistics.
#include "kernels/cpu/memory/cpu_allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>

#include "core/base/fork.h"
#include "core/memory/free_blocks.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
/// Blocks up to this size are kept by the thread that freed them.
constexpr size_t kSmall = size_t{32} << 10;
constexpr size_t kSmallClasses = 32;
/// No block is larger.
constexpr size_t kLargest = size_t{1} << 62;
constexpr size_t kClasses = 8 + (62 - 9) * 4;
/// Most bytes of one size class that a thread keeps: 2 MiB for all classes together.
constexpr size_t kKeptBytes = size_t{64} << 10;

/// Four classes per power of two keep the waste under 25 %.
size_t size_class(size_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  const size_t step = std::max(kAlignment, std::bit_floor(bytes - 1) / 4);
  return (bytes + step - 1) / step * step;
}

/// Position of a class: the multiples of 64 up to 512, then four per power of two.
size_t index_of(size_t rounded) {
  if (rounded <= 512) return rounded / kAlignment - 1;
  const size_t exponent = static_cast<size_t>(std::bit_width(rounded - 1)) - 1;
  return 8 + (exponent - 9) * 4 + ((rounded - 1) >> (exponent - 2)) - 4;
}

/// What a thread keeps. Only that thread changes it; `stats` reads the count.
struct ThreadBlocks {
  enum class State : uint8_t { kNew, kOpen, kClosed };

  FreeBlocks free[kSmallClasses];
  uint64_t trims = 0;  ///< as many trims as its blocks have lived through
  std::atomic<uint64_t> allocations{0};
  ThreadBlocks* next = nullptr;
  State state = State::kNew;
};

constinit thread_local ThreadBlocks thread_blocks;

class CpuAllocator final : public Allocator {
 public:
  CpuAllocator() { lock_around_fork(mutex_, 0); }
  void* allocate(size_t bytes) override {
    if (bytes > kLargest) out_of_memory(bytes);
    const size_t rounded = size_class(bytes);
    void* block =
        rounded <= kSmall && usable() ? thread_blocks.free[index_of(rounded)].pop() : nullptr;
    if (!block) block = take_shared(bytes, rounded);
    if (thread_blocks.state == ThreadBlocks::State::kOpen) {
      std::atomic<uint64_t>& count = thread_blocks.allocations;
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
      allocations_.fetch_add(1, std::memory_order_relaxed);
    }
    const size_t live = live_.fetch_add(rounded, std::memory_order_relaxed) + rounded;
    size_t peak = peak_.load(std::memory_order_relaxed);
    while (live > peak && !peak_.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
    }
    return block;
  }

  void deallocate(void* block, size_t bytes) noexcept override {
    const size_t rounded = size_class(bytes);
    live_.fetch_sub(rounded, std::memory_order_relaxed);
    if (rounded <= kSmall && usable()) {
      FreeBlocks& free = thread_blocks.free[index_of(rounded)];
      if ((free.count() + 1) * rounded <= kKeptBytes) return free.push(block);
    }
    std::lock_guard lock(mutex_);
    share(block, rounded);
  }

  MemoryStats stats() const override {
    std::lock_guard lock(mutex_);
    uint64_t allocations = allocations_.load();
    for (const ThreadBlocks* thread = threads_; thread; thread = thread->next) {
      allocations += thread->allocations.load(std::memory_order_relaxed);
    }
    return {live_.load(), peak_.load(), reserved_.load(), allocations};
  }

  void reset_peak() override { peak_.store(live_.load()); }

  /// Other threads return what they keep at their next small allocation.
  void trim() override {
    std::lock_guard lock(mutex_);
    trims_.fetch_add(1, std::memory_order_relaxed);
    if (thread_blocks.state == ThreadBlocks::State::kOpen) trim_kept();
    for_each_of(free_, kLargest,
                [this](void* block, size_t rounded) { to_system(block, rounded); });
  }

 private:
  struct Closer {
    CpuAllocator* allocator = nullptr;
    ~Closer() {
      if (allocator) allocator->close();
    }
  };

  /// Whether this thread keeps blocks, which it does until it ends.
  bool usable() noexcept {
    if (thread_blocks.state == ThreadBlocks::State::kOpen) {
      if (thread_blocks.trims != trims_.load(std::memory_order_relaxed)) trim_kept();
      return true;
    }
    return thread_blocks.state == ThreadBlocks::State::kNew && open();
  }

  void trim_kept() noexcept {
    thread_blocks.trims = trims_.load(std::memory_order_relaxed);
    for_each_of(thread_blocks.free, kSmall,
                [this](void* block, size_t rounded) { to_system(block, rounded); });
  }

  bool open() noexcept {
    static thread_local Closer closer;
    closer.allocator = this;
    std::lock_guard lock(mutex_);
    thread_blocks.next = threads_;
    threads_ = &thread_blocks;
    thread_blocks.trims = trims_.load(std::memory_order_relaxed);
    thread_blocks.state = ThreadBlocks::State::kOpen;
    return true;
  }

  void close() noexcept {
    std::lock_guard lock(mutex_);
    for_each_of(thread_blocks.free, kSmall,
                [this](void* block, size_t rounded) { share(block, rounded); });
    allocations_.fetch_add(thread_blocks.allocations.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
    ThreadBlocks** link = &threads_;
    while (*link != &thread_blocks) link = &(*link)->next;
    *link = thread_blocks.next;
    thread_blocks.state = ThreadBlocks::State::kClosed;
  }

  /// Takes all blocks of classes up to `most` bytes from their lists.
  template <class F>
  static void for_each_of(FreeBlocks* lists, size_t most, F take) noexcept {
    for (size_t rounded = kAlignment; rounded <= most; rounded = size_class(rounded + 1)) {
      FreeBlocks& free = lists[index_of(rounded)];
      while (void* block = free.pop()) take(block, rounded);
    }
  }

  /// With the lock held.
  void share(void* block, size_t rounded) noexcept { free_[index_of(rounded)].push(block); }
  void to_system(void* block, size_t rounded) noexcept {
    std::free(block);
    reserved_.fetch_sub(rounded, std::memory_order_relaxed);
  }

  void* take_shared(size_t bytes, size_t rounded) {
    {
      std::lock_guard lock(mutex_);
      if (void* block = free_[index_of(rounded)].pop()) return block;
    }
    void* block = from_system(rounded);
    if (!block) {
      trim();
      block = from_system(rounded);
    }
    if (!block) out_of_memory(bytes);
    reserved_.fetch_add(rounded, std::memory_order_relaxed);
    return block;
  }

  static void* from_system(size_t rounded) {
    const size_t alignment = rounded >= kHugePage ? kHugePage : kAlignment;
    void* block = std::aligned_alloc(alignment, (rounded + alignment - 1) / alignment * alignment);
    // Page faults of 4 KiB dominate the first touch of large tensors; huge pages divide them by
    // 512.
    if (block && rounded >= kHugePage) madvise(block, rounded, MADV_HUGEPAGE);
    return block;
  }

  [[noreturn]] void out_of_memory(size_t bytes) const {
    fail<DeviceError>(
        "cpu:0: cannot allocate {} bytes; {} bytes are live, {} were at most, {} are reserved",
        bytes, live_.load(), peak_.load(), reserved_.load());
  }

  mutable std::mutex mutex_;
  FreeBlocks free_[kClasses];        ///< linked through the blocks: freeing one needs no memory
  ThreadBlocks* threads_ = nullptr;  ///< all open ones
  std::atomic<uint64_t> trims_{0};
  std::atomic<size_t> live_{0}, peak_{0}, reserved_{0};
  /// Of threads that have ended or keep nothing.
  std::atomic<uint64_t> allocations_{0};
};

}  // namespace

Allocator& cpu_allocator() {
  // Never destroyed: tensors with static lifetime may still return blocks at exit.
  static Allocator* allocator = new CpuAllocator;
  return *allocator;
}

}  // namespace linnet
