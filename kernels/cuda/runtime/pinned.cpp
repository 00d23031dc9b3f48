#include "kernels/cuda/runtime/pinned.h"

#include "kernels/cuda/driver/driver.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {

std::byte* allocate_pinned(size_t bytes) {
  void* block = nullptr;
  const CUresult result = driver().cuMemHostAlloc(&block, bytes, CU_MEMHOSTALLOC_PORTABLE);
  if (result != CUDA_SUCCESS)
    fail<DeviceError>("cuda: {} bytes of pinned host memory: {}", bytes, text_of(result));
  return static_cast<std::byte*>(block);
}

UploadRing::Block UploadRing::next_block() {
  const Driver& cu = driver();
  if (!used_.empty()) {
    const Block oldest = used_.front();
    const CUresult state = cu.cuEventQuery(oldest.free);
    if (state == CUDA_ERROR_NOT_READY && blocks_ < kMostBlocks) {
      // A new one below.
    } else {
      check(state == CUDA_ERROR_NOT_READY ? cu.cuEventSynchronize(oldest.free) : state,
            "waiting for an upload");
      used_.pop_front();
      return oldest;
    }
  }
  Block block{};
  check(cu.cuEventCreate(&block.free, CU_EVENT_DISABLE_TIMING), "making an event");
  try {
    block.data = allocate_pinned(kPinnedBlock);
  } catch (...) {
    cu.cuEventDestroy(block.free);
    throw;
  }
  ++blocks_;
  return block;
}

std::byte* UploadRing::reserve(size_t bytes, CUstream stream) {
  constexpr size_t kAlignment = 64;
  const size_t begin = (filled_ + kAlignment - 1) / kAlignment * kAlignment;
  if (begin + bytes <= kPinnedBlock) {
    filled_ = begin + bytes;
    return current_.data + begin;
  }
  if (current_.data) {
    check(driver().cuEventRecord(current_.free, stream), "recording an event");
    used_.push_back(current_);
    current_ = {};
    filled_ = kPinnedBlock;
  }
  current_ = next_block();
  filled_ = bytes;
  return current_.data;
}

std::byte* DownloadBlocks::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      std::byte* const block = free_.back();
      free_.pop_back();
      return block;
    }
    free_.reserve(free_.capacity() + 1);  // so that `give` needs no memory
  }
  return allocate_pinned(kPinnedBlock);
}

void DownloadBlocks::give(std::byte* block) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(block);
}

}  // namespace linnet::cuda
