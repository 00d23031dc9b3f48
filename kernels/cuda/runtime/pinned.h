// Memory of the host that a device can copy from and to while the program goes on.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

namespace linnet::cuda {

inline constexpr size_t kPinnedBlock = size_t{4} << 20;

/// Brings bytes to the device. Large ones cross the bus on a stream of their own, while the device
/// still computes, to a block of the device from where the device's stream copies them to their
/// place in its order. Used under the device's lock.
class UploadRing {
 public:
  /// From this size on the bus is what takes time.
  static constexpr size_t kOverlapped = size_t{64} << 10;

  /// At most `kPinnedBlock` bytes; host memory may be used again on return.
  /// @throws DeviceError if there is no memory, or the driver's reason.
  void upload(CUdeviceptr to, const std::byte* from, size_t bytes, CUstream stream, CUstream bus);

 private:
  struct Block {
    std::byte* data;
    CUdeviceptr there;  ///< as many bytes on the device, once they were needed
    CUevent free;       ///< recorded in the device's stream when nothing more will be put into it
    CUevent arrived;
  };
  /// An offset in `current_`, whose memory is used again once the work given to `stream` so far is
  /// done.
  size_t reserve(size_t bytes, CUstream stream);
  Block next_block();

  static constexpr size_t kMostBlocks = 16;
  std::deque<Block> used_;
  Block current_{};
  size_t filled_ = kPinnedBlock, blocks_ = 0;
};

/// Blocks that downloads go through. Safe to use from several threads.
class DownloadBlocks {
 public:
  std::byte* take();
  void give(std::byte* block) noexcept;

 private:
  std::mutex mutex_;
  std::vector<std::byte*> free_;
};

/// @throws DeviceError with the size.
std::byte* allocate_pinned(size_t bytes);

}  // namespace linnet::cuda
