#include "kernels/cuda/runtime/allocator.h"

#include <algorithm>
#include <bit>

#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {

size_t StreamAllocator::size_class(size_t bytes) {
  constexpr size_t kSmallest = 512;
  if (bytes <= kSmallest) return kSmallest;
  const size_t step = std::max(kSmallest, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

void StreamAllocator::fail_out_of_memory(size_t bytes, CUresult result) {
  size_t free = 0, total = 0;
  driver().cuMemGetInfo(&free, &total);
  fail<DeviceError>(
      "{}: {} bytes could not be allocated: {}\n  {} bytes are in use, {} were at most, {} are "
      "cached; "
      "the device has {} of {} free",
      to_string(gpu_.device()), bytes, text_of(result), stats_.live_bytes, stats_.peak_bytes,
      cached_, free, total);
}

void* StreamAllocator::from_driver(size_t bytes) {
  const Driver& cu = driver();
  CUdeviceptr block = 0;
  CUresult result = cu.cuMemAllocAsync(&block, bytes, gpu_.stream());
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    // Memory in our lists and pages that still belong to work under way may be enough.
    empty_lists();
    cu.cuStreamSynchronize(gpu_.stream());
    cu.cuMemPoolTrimTo(gpu_.pool(), 0);
    result = cu.cuMemAllocAsync(&block, bytes, gpu_.stream());
  }
  if (result != CUDA_SUCCESS) fail_out_of_memory(bytes, result);
  return reinterpret_cast<void*>(block);
}

void* StreamAllocator::allocate(size_t bytes) {
  gpu_.make_current();
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  void* block = nullptr;
  auto list = size <= kLargest ? free_.find(size) : free_.end();
  if (list != free_.end() && !list->second.empty()) {
    block = reinterpret_cast<void*>(list->second.back());
    list->second.pop_back();
    cached_ -= size;
  } else {
    block = from_driver(size);
  }
  stats_.live_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  ++stats_.allocations;
  return block;
}

void StreamAllocator::deallocate(void* block, size_t bytes) noexcept {
  const size_t size = size_class(bytes);
  const auto address = reinterpret_cast<CUdeviceptr>(block);
  const std::lock_guard lock(mutex_);
  stats_.live_bytes -= size;
  if (size <= kLargest) {
    try {
      free_[size].push_back(address);
      cached_ += size;
      return;
    } catch (...) {
      // No memory for the list: the driver takes it.
    }
  }
  // Fails when the process ends and the driver is gone: so is the memory.
  driver().cuCtxSetCurrent(gpu_.context());
  driver().cuMemFreeAsync(address, gpu_.stream());
}

void StreamAllocator::empty_lists() {
  for (auto& [size, blocks] : free_) {
    for (const CUdeviceptr block : blocks) driver().cuMemFreeAsync(block, gpu_.stream());
    blocks.clear();
  }
  cached_ = 0;
}

MemoryStats StreamAllocator::stats() const {
  gpu_.make_current();
  MemoryStats out;
  {
    const std::lock_guard lock(mutex_);
    out = stats_;
  }
  cuuint64_t reserved = 0;
  check(
      driver().cuMemPoolGetAttribute(gpu_.pool(), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved),
      "asking for the memory in use");
  out.reserved_bytes = reserved;
  return out;
}

void StreamAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

void StreamAllocator::trim() {
  gpu_.make_current();
  const std::lock_guard lock(mutex_);
  empty_lists();
  check(driver().cuStreamSynchronize(gpu_.stream()), "waiting before memory is given back");
  check(driver().cuMemPoolTrimTo(gpu_.pool(), 0), "giving memory back");
}

}  // namespace linnet::cuda
