#include "support/fake_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::testing {

FakeMemory::FakeMemory() {
  const int file = memfd_create("fake device", 0);
  const auto map = [&](int access) {
    void* at = mmap(nullptr, kSize, access, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (at == MAP_FAILED) fail<DeviceError>("fake device: no address space");
    return static_cast<std::byte*>(at);
  };
  if (file < 0 || ftruncate(file, static_cast<off_t>(kSize)) != 0)
    fail<DeviceError>("fake device: no memory file");
  device_ = map(PROT_NONE);
  host_ = map(PROT_READ | PROT_WRITE);
  close(file);
}

std::byte* FakeMemory::accessible(uint64_t address) const {
  const uint64_t first = reinterpret_cast<uintptr_t>(device_);
  if (address == 0) return nullptr;
  if (address < first || address >= first + kSize)
    fail<DeviceError>("fake device: {:#x} is no address of this device", address);
  return host_ + (address - first);
}

void* FakeMemory::allocate(size_t bytes) {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  std::vector<void*>& free = free_[size];
  void* block = nullptr;
  if (!free.empty()) {
    block = free.back();
    free.pop_back();
  } else {
    if (size > kSize - used_) fail<DeviceError>("fake device: cannot allocate {} bytes", bytes);
    block = device_ + used_;
    used_ += size;
  }
  stats_.live_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  stats_.reserved_bytes = used_;
  ++stats_.allocations;
  return block;
}

void FakeMemory::deallocate(void* block, size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  free_[rounded(bytes)].push_back(block);
  stats_.live_bytes -= rounded(bytes);
}

MemoryStats FakeMemory::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void FakeMemory::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

}  // namespace linnet::testing
