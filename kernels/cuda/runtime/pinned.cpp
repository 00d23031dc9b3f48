#include "kernels/cuda/runtime/pinned.h"

#include <cstring>

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
  check(cu.cuEventCreate(&block.arrived, CU_EVENT_DISABLE_TIMING), "making an event");
  block.data = allocate_pinned(kPinnedBlock);
  ++blocks_;
  return block;
}

size_t UploadRing::reserve(size_t bytes, CUstream stream) {
  constexpr size_t kAlignment = 64;
  const size_t begin = (filled_ + kAlignment - 1) / kAlignment * kAlignment;
  if (begin + bytes <= kPinnedBlock) {
    filled_ = begin + bytes;
    return begin;
  }
  if (current_.data) {
    check(driver().cuEventRecord(current_.free, stream), "recording an event");
    used_.push_back(current_);
    current_ = {};
    filled_ = kPinnedBlock;
  }
  current_ = next_block();
  filled_ = bytes;
  return 0;
}

void UploadRing::upload(CUdeviceptr to, const std::byte* from, size_t bytes, CUstream stream,
                        CUstream bus) {
  const Driver& cu = driver();
  const size_t at = reserve(bytes, stream);
  std::memcpy(current_.data + at, from, bytes);
  if (bytes < kOverlapped) {
    return check(cu.cuMemcpyHtoDAsync(to, current_.data + at, bytes, stream),
                 "copying to the device");
  }
  if (!current_.there)
    check(cu.cuMemAllocAsync(&current_.there, kPinnedBlock, bus), "memory for uploads");
  check(cu.cuMemcpyHtoDAsync(current_.there + at, current_.data + at, bytes, bus),
        "copying to the device");
  check(cu.cuEventRecord(current_.arrived, bus), "recording an event");
  check(cu.cuStreamWaitEvent(stream, current_.arrived, 0), "waiting for an upload");
  check(cu.cuMemcpyDtoDAsync(to, current_.there + at, bytes, stream), "copying on the device");
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
