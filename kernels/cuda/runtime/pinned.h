// Memory of the host that a device can copy from and to while the program goes on.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

namespace linnet::cuda {

inline constexpr size_t kPinnedBlock = size_t{4} << 20;

/// Where bytes on their way to the device wait. Used under the device's lock.
class UploadRing {
 public:
  /// Room for at most `kPinnedBlock` bytes, which is used again once the work given to `stream`
  /// before later calls is done.
  /// @throws DeviceError if there is no memory.
  std::byte* reserve(size_t bytes, CUstream stream);

 private:
  struct Block {
    std::byte* data;
    CUevent free;  ///< recorded when nothing more will be put into it
  };
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
