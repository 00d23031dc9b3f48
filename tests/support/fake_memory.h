// Memory in two views: the addresses that tensors have, which nobody can access, and where the fake
// device reads and writes the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "linnet/device.h"

namespace linnet::testing {

class FakeMemory {
 public:
  FakeMemory();

  /// The address under which the bytes at the device's `address` can be accessed.
  /// @throws DeviceError if the address is not one of this memory.
  std::byte* accessible(uint64_t address) const;

  void* allocate(size_t bytes);
  void deallocate(void* block, size_t bytes) noexcept;
  MemoryStats stats() const;
  void reset_peak();

  static size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256 + 256; }

 private:
  static constexpr size_t kSize = size_t{1} << 34;  // of addresses, not of memory

  std::byte* device_ = nullptr;
  std::byte* host_ = nullptr;
  mutable std::mutex mutex_;
  size_t used_ = 0;
  std::map<size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

}  // namespace linnet::testing
