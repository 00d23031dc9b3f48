#include "core/memory/limit.h"

#include <array>
#include <atomic>
#include <mutex>

#include "core/base/fork.h"
#include "core/memory/devices.h"
#include "core/memory/owners.h"
#include "linnet/detail/format.h"
#include "linnet/memory_limit.h"

namespace linnet {
namespace {

constinit std::array<std::atomic<size_t>, kDeviceTypes * kDevicesOfType> limits{};

/// What was wanted, and by whom memory is held.
[[noreturn, gnu::cold]] void fail_with_owners(const DeviceError& error, Device device) {
  const std::string wanted = present_owner(), owners = largest_owners(device);
  if (owners.empty()) fail<DeviceError>("{}; wanted for {}", error.what(), wanted);
  fail<DeviceError>("{}; wanted for {}; the largest owners:{}", error.what(), wanted, owners);
}

std::atomic<size_t>& limit_of(Device device) {
  return limits[static_cast<size_t>(device.type) % kDeviceTypes * kDevicesOfType +
                device.index % kDevicesOfType];
}

/// Held from the look at what is live until the block is: two threads must not both take what is
/// left.
std::mutex& limit_mutex() {
  static std::mutex* mutex = [] {
    auto* fresh = new std::mutex;
    lock_around_fork(*fresh, 2);
    return fresh;
  }();
  return *mutex;
}

void require_room(Allocator& allocator, Device device, size_t bytes, size_t limit) {
  const MemoryStats now = allocator.stats();
  if (bytes > limit || now.live_bytes > limit - bytes) {
    fail<DeviceError>(
        "{}: cannot allocate {} bytes within the limit of {} bytes; {} bytes are live, {} were at "
        "most, {} are reserved",
        to_string(device), bytes, limit, now.live_bytes, now.peak_bytes, now.reserved_bytes);
  }
  if (now.reserved_bytes > limit - bytes) allocator.trim();
}

void* allocate_below(size_t limit, Allocator& allocator, Device device, size_t bytes) {
  std::lock_guard lock(limit_mutex());
  require_room(allocator, device, bytes, limit);
  return allocator.allocate(bytes);
}

}  // namespace

void* allocate_within_limit(Allocator& allocator, Device device, size_t bytes) {
  try {
    const size_t limit = limit_of(device).load(std::memory_order_relaxed);
    if (limit == 0) [[likely]]
      return allocator.allocate(bytes);
    return allocate_below(limit, allocator, device, bytes);
  } catch (const DeviceError& e) {
    fail_with_owners(e, device);
  }
}

void set_memory_limit(Device device, size_t bytes) {
  allocator_of(device);  // throws if there is none
  limit_of(device).store(bytes, std::memory_order_relaxed);
}

size_t memory_limit(Device device) { return limit_of(device).load(std::memory_order_relaxed); }

}  // namespace linnet
