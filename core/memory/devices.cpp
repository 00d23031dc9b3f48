// Which back ends there are, whose memory serves which device, and where tensors are made.
#include <array>
#include <atomic>

#include "core/memory/devices.h"
#include "linnet/back_end.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

constinit std::array<std::atomic<BackEnd*>, kDeviceTypes> back_ends{};
constinit std::array<std::array<std::atomic<Allocator*>, kDevicesOfType>, kDeviceTypes>
    allocators{};
constinit thread_local Device current_device{};

std::atomic<BackEnd*>& back_end_slot(DeviceType type) {
  return back_ends[static_cast<size_t>(type) % kDeviceTypes];
}

[[noreturn, gnu::cold]] void fail_no_back_end(Device device) {
  std::string registered;
  for (size_t type = 0; type < kDeviceTypes; ++type) {
    if (!back_ends[type].load()) continue;
    const std::string name = to_string(Device{static_cast<DeviceType>(type), 0});
    registered += (registered.empty() ? "" : ", ") + name;
  }
  fail<DeviceError>("{}: no back end for this device is linked in or registered, only for {}",
                    to_string(device), registered);
}

std::atomic<Allocator*>& allocator_slot(Device device) {
  if (device.index >= kDevicesOfType) {
    fail<DeviceError>("{}: at most {} devices of a type are supported", to_string(device),
                      kDevicesOfType);
  }
  return allocators[static_cast<size_t>(device.type) % kDeviceTypes][device.index];
}

void link_back_ends() {
  static const bool linked = [] {
    register_linked_back_ends();
    return true;
  }();
  (void)linked;
}

}  // namespace

Device default_device() { return current_device; }
ScopedDevice::ScopedDevice(Device device) : previous_(current_device) { current_device = device; }
ScopedDevice::~ScopedDevice() { current_device = previous_; }

void register_back_end(DeviceType type, BackEnd& back_end) {
  BackEnd* none = nullptr;
  if (!back_end_slot(type).compare_exchange_strong(none, &back_end)) {
    fail<DeviceError>("register_back_end: devices like {} have a back end already",
                      to_string(Device{type, 0}));
  }
}

BackEnd* find_back_end(Device device) {
  BackEnd* found = back_end_slot(device.type).load(std::memory_order_acquire);
  if (found) return found;
  link_back_ends();
  return back_end_slot(device.type).load(std::memory_order_acquire);
}

BackEnd& back_end_of(Device device) {
  // Twice in every eager operation: the usual case is a load and a comparison.
  if (BackEnd* found = back_end_slot(device.type).load(std::memory_order_acquire)) [[likely]]
    return *found;
  if (BackEnd* found = find_back_end(device)) return *found;
  fail_no_back_end(device);
}

Allocator& allocator_of(Device device) {
  if (Allocator* custom = allocator_slot(device).load(std::memory_order_acquire)) return *custom;
  return back_end_of(device).allocator(device.index);
}

Allocator* set_allocator(Device device, Allocator* allocator) {
  return allocator_slot(device).exchange(allocator);
}

int device_count(DeviceType type) {
  BackEnd* found = find_back_end(Device{type, 0});
  return found ? found->device_count() : 0;
}

MemoryStats memory_stats(Device device) { return allocator_of(device).stats(); }

void synchronize(Device device) { back_end_of(device).synchronize(device); }

}  // namespace linnet
