// Memory of one device, in the order of its stream: a block that is given back is used again by
// what is enqueued later, so that nobody waits.
#pragma once

#include <cuda.h>

#include <mutex>
#include <unordered_map>
#include <vector>

#include "linnet/device.h"

namespace linnet::cuda {

class Gpu;

/// Small blocks are kept in lists by size class; large ones go back to the driver's pool, which
/// moves pages instead of fragmenting and is told never to give memory back by itself.
class StreamAllocator final : public Allocator {
 public:
  explicit StreamAllocator(Gpu& gpu) : gpu_(gpu) {}
  void* allocate(size_t bytes) override;
  void deallocate(void* block, size_t bytes) noexcept override;
  MemoryStats stats() const override;
  void reset_peak() override;
  void trim() override;

  /// Multiples of 512 bytes, eight classes for each power of two.
  static size_t size_class(size_t bytes);

 private:
  void* from_driver(size_t bytes);
  void empty_lists();
  [[noreturn]] void fail_out_of_memory(size_t bytes, CUresult result);

  static constexpr size_t kLargest = size_t{1} << 20;  ///< of the small ones
  Gpu& gpu_;
  mutable std::mutex mutex_;
  std::unordered_map<size_t, std::vector<CUdeviceptr>> free_;
  MemoryStats stats_;
  size_t cached_ = 0;
};

}  // namespace linnet::cuda
