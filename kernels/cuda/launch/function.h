// A kernel of the modules that are embedded in the library, by its name, or a loaded one.
//
//   const Function scale("scale_f32", 256);      // of LINNET_KERNEL(scale_f32, ScaleArgs, 256)
//   sink.launch(scale, {blocks}, ScaleArgs{…});
#pragma once

#include <atomic>
#include <cstdint>

#include "linnet/back_end.h"

namespace linnet::cuda {

class Function final : public DeviceFunction {
 public:
  /// `name` must outlive the function; `threads` is the size of a block. A constant is there before
  /// main: a tensor that is made then can be on a device.
  constexpr Function(const char* name, uint32_t threads) : name_(name), threads_(threads) {}

  /// One that is loaded already.
  Function(const char* name, uint32_t threads, void* handle)
      : name_(name), threads_(threads), handle_(handle) {}

  const char* name() const { return name_; }
  uint32_t threads() const { return threads_; }
  /// The driver's CUkernel, looked up at the first call. Serves every device.
  /// @throws DeviceError if no module has the kernel, or none for this device.
  void* handle() const;

 private:
  const char* name_;
  uint32_t threads_;
  mutable std::atomic<void*> handle_ = nullptr;
};

}  // namespace linnet::cuda
