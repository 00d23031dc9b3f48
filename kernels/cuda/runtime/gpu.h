// One device of the driver: its context, its stream, its memory.
//
// All work of a device goes to one stream, so that it happens in the order in which it was given;
// only the way of large uploads over the bus runs beside it (pinned.h). Who enqueues several pieces
// that belong together, or uses `uploads` or `host_area`, holds `lock()`.
#pragma once

#include <cuda.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/runtime/allocator.h"
#include "kernels/cuda/runtime/pinned.h"
#include "linnet/cuda.h"
#include "linnet/device.h"

namespace linnet::cuda {

struct DeviceProperties {
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  size_t shared_bytes = 0;  ///< most of a block, opted in
  size_t memory_bytes = 0;
  /// 90 for 9.0
  int architecture() const { return major * 10 + minor; }
};

/// Statistics as they are counted.
struct Counters {
  std::atomic<uint64_t> launches, library_calls, host_kernels, copies, uploads, downloads, waits,
      graph_runs;
};

class Gpu {
 public:
  /// 0 without a driver.
  static int count();
  /// Made at first use.
  /// @throws DeviceError if there is no driver or no such device, or in a forked child.
  static Gpu& at(int index);
  /// The device that a stream belongs to: its own, or one that is being captured.
  static Gpu& of_stream(CUstream stream);

  Device device() const { return {DeviceType::kCuda, static_cast<uint8_t>(index_)}; }
  const DeviceProperties& properties() const { return properties_; }
  CUcontext context() const { return context_; }
  CUstream stream() const { return stream_; }
  /// For capturing the calls of libraries.
  CUstream capture_stream() const { return capture_stream_; }
  CUmemoryPool pool() const { return pool_; }
  Allocator& allocator() { return allocator_; }

  /// Makes the device's context that of the calling thread.
  /// @throws DeviceError also if earlier work on the host failed.
  void make_current() const;
  std::unique_lock<std::recursive_mutex> lock() { return std::unique_lock(mutex_); }

  /// Host memory may be used again on return.
  void upload(void* to, const void* host, size_t bytes);
  /// Waits for the bytes.
  void download(void* host, const void* from, size_t bytes);
  void copy(void* to, const Gpu& from_gpu, const void* from, size_t bytes);
  /// @param why is logged (LINNET_LOG=cuda).
  void synchronize(const char* why);

  /// Pinned memory that kernels of the host work on; what it was is used until work given before is
  /// done, so that addresses stay good.
  std::byte* host_area(size_t bytes);
  Counters& counters() const { return counters_; }
  /// What went wrong in a function of the stream; the next wait throws it.
  void keep_error(std::exception_ptr error) noexcept;

 private:
  explicit Gpu(int index);
  void throw_kept_error();

  int index_;
  CUdevice handle_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr, capture_stream_ = nullptr, bus_ = nullptr;
  CUmemoryPool pool_ = nullptr;
  DeviceProperties properties_;
  std::recursive_mutex mutex_;
  UploadRing uploads_;
  DownloadBlocks downloads_;
  std::byte* host_area_ = nullptr;
  size_t host_area_bytes_ = 0;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::atomic<bool> has_error_ = false;
  mutable Counters counters_{};
  StreamAllocator allocator_{*this};
};

/// Of the first device: kernels are prepared for a machine of equal cards.
/// Those of a common card where there is none, so that kernels can be planned.
const DeviceProperties& device_properties();

}  // namespace linnet::cuda
