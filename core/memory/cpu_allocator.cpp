// The CPU allocator: size classes with cached free blocks, 64-byte alignment, statistics.
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/base/format.h"
#include "linnet/device.h"

namespace linnet {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

/// Four classes per power of two keep the waste under 25 %.
size_t size_class(size_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  const size_t step = std::max(kAlignment, std::bit_floor(bytes - 1) / 4);
  return (bytes + step - 1) / step * step;
}

class CpuAllocator final : public Allocator {
 public:
  void* allocate(size_t bytes) override {
    if (bytes > (size_t{1} << 62)) out_of_memory(bytes);
    const size_t rounded = size_class(bytes);
    void* block = take_cached(rounded);
    if (!block) {
      block = from_system(rounded);
      if (!block) {
        trim();
        block = from_system(rounded);
      }
      if (!block) out_of_memory(bytes);
      reserved_.fetch_add(rounded, std::memory_order_relaxed);
    }
    allocations_.fetch_add(1, std::memory_order_relaxed);
    const size_t live = live_.fetch_add(rounded, std::memory_order_relaxed) + rounded;
    size_t peak = peak_.load(std::memory_order_relaxed);
    while (live > peak && !peak_.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
    }
    return block;
  }

  void deallocate(void* block, size_t bytes) noexcept override {
    const size_t rounded = size_class(bytes);
    live_.fetch_sub(rounded, std::memory_order_relaxed);
    try {
      std::lock_guard lock(mutex_);
      free_[rounded].push_back(block);
    } catch (...) {  // no memory for the list itself: give the block back
      std::free(block);
      reserved_.fetch_sub(rounded, std::memory_order_relaxed);
    }
  }

  MemoryStats stats() const override { return {live_.load(), peak_.load(), reserved_.load(), allocations_.load()}; }
  void reset_peak() override { peak_.store(live_.load()); }

  void trim() override {
    std::lock_guard lock(mutex_);
    for (auto& [bytes, blocks] : free_) {
      for (void* block : blocks) std::free(block);
      reserved_.fetch_sub(bytes * blocks.size(), std::memory_order_relaxed);
      blocks.clear();
    }
  }

 private:
  void* take_cached(size_t rounded) {
    std::lock_guard lock(mutex_);
    auto found = free_.find(rounded);
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    return block;
  }

  static void* from_system(size_t rounded) {
    const size_t alignment = rounded >= kHugePage ? kHugePage : kAlignment;
    void* block = std::aligned_alloc(alignment, (rounded + alignment - 1) / alignment * alignment);
    // Page faults of 4 KiB dominate the first touch of large tensors; huge pages divide them by 512.
    if (block && rounded >= kHugePage) madvise(block, rounded, MADV_HUGEPAGE);
    return block;
  }

  [[noreturn]] void out_of_memory(size_t bytes) const {
    fail<DeviceError>("cpu:0: cannot allocate {} bytes; {} bytes are live, {} reserved", bytes, live_.load(),
                      reserved_.load());
  }

  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> free_;
  std::atomic<size_t> live_{0}, peak_{0}, reserved_{0};
  std::atomic<uint64_t> allocations_{0};
};

std::array<std::atomic<Allocator*>, 16>& slots() {
  static std::array<std::atomic<Allocator*>, 16> table{};
  return table;
}

size_t slot_of(Device device) {
  if (device.index >= 8) fail<DeviceError>("{}: at most 8 devices of a type are supported", to_string(device));
  return (device.type == DeviceType::kCpu ? 0 : 8) + device.index;
}

}  // namespace

Allocator& allocator_of(Device device) {
  // Never destroyed: tensors with static lifetime may still return blocks at exit.
  static Allocator* cpu = new CpuAllocator;
  if (Allocator* custom = slots()[slot_of(device)].load(std::memory_order_acquire)) return *custom;
  if (device == kCpu) return *cpu;
  fail<DeviceError>("{}: no back end for this device is built in", to_string(device));
}

Allocator* set_allocator(Device device, Allocator* allocator) {
  return slots()[slot_of(device)].exchange(allocator);
}

MemoryStats memory_stats(Device device) { return allocator_of(device).stats(); }

}  // namespace linnet
