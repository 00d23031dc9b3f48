// Devices, where tensors are made, and the memory behind them.
//
//   const Device gpu{DeviceType::kCuda, 0};
//   ScopedDevice here(gpu);                    // zeros, iota, keys and the like are made there
//   Tensor y = x.to(gpu) * 2.f;                // a number without dimensions goes anywhere
//   MemoryStats stats = memory_stats(gpu);     // stats.live_bytes, stats.peak_bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#pragma GCC visibility push(default)

namespace linnet {

/// Codes follow DLPack's DLDeviceType. `kExtension` is a device of a back end that the program
/// itself registers (back_end.h).
enum class DeviceType : uint8_t { kCpu = 1, kCuda = 2, kExtension = 12 };

/// One device of the machine.
struct Device {
  DeviceType type = DeviceType::kCpu;
  uint8_t index = 0;
  bool operator==(const Device&) const = default;
  /// Whether its memory is the one that the program itself reads and writes.
  constexpr bool host() const { return type == DeviceType::kCpu; }
};

inline constexpr Device kCpu{};

/// `cpu:0`, `cuda:1`, `ext:0`.
std::string to_string(Device device);

/// How many devices of a type this process can use; 0 if their back end is not built in or finds
/// none. Never throws for want of a device: `memory_stats(device)` says what was looked for.
int device_count(DeviceType type);

/// Where functions that make tensors from nothing put them: the device of this thread's innermost
/// `ScopedDevice`, else the CPU. Literals are always on the CPU and go anywhere.
Device default_device();

/// Makes `device` the default of this thread for a scope.
class ScopedDevice {
 public:
  explicit ScopedDevice(Device device);
  ~ScopedDevice();
  ScopedDevice(const ScopedDevice&) = delete;
  ScopedDevice& operator=(const ScopedDevice&) = delete;

 private:
  Device previous_;
};

/// Returns when all work given to the device is done.
/// @throws DeviceError if work failed, or if there is no such device.
void synchronize(Device device = default_device());

/// Counters of one device's allocator. Bytes are those handed to tensors, rounded up to the
/// allocator's size classes; cached free blocks are counted in `reserved_bytes` only.
struct MemoryStats {
  size_t live_bytes = 0;
  size_t peak_bytes = 0;
  size_t reserved_bytes = 0;
  uint64_t allocations = 0;
};

/// Source of device memory. Implementations are safe to call from several threads.
class Allocator {
 public:
  virtual ~Allocator() = default;
  /// At least `bytes` bytes aligned to 64, uninitialised. `bytes` may be 0.
  /// @throws DeviceError with the sizes involved when the memory cannot be had; nothing has changed
  /// then.
  virtual void* allocate(size_t bytes) = 0;
  /// Takes back a block of `allocate(bytes)`.
  virtual void deallocate(void* block, size_t bytes) noexcept = 0;
  virtual MemoryStats stats() const = 0;
  /// Sets the peak to the live bytes.
  virtual void reset_peak() = 0;
  /// Returns cached free blocks to the system.
  virtual void trim() = 0;
};

/// The allocator of `device`.
/// @throws DeviceError if no back end for it is built in or registered.
Allocator& allocator_of(Device device);

/// Makes `allocator` (not owned) serve `device` in place of its back end's, until it is set to
/// null. Returns the one it replaces, or null. Where no back end is registered for the device its
/// memory must be one that the host can read and write: tensors can then be made and read there,
/// and whatever computes is an error.
Allocator* set_allocator(Device device, Allocator* allocator);

MemoryStats memory_stats(Device device = default_device());

}  // namespace linnet

#pragma GCC visibility pop
