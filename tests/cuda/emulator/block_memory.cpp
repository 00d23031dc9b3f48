#include "cuda/emulator/block_memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "cuda/emulator/sanitizers.h"

namespace linnet::cuda::emulator {
namespace {

// The sanitizer has red zones of its own, which must begin where the array ends.
constexpr size_t kGuard = kAddressSanitizer ? 0 : 128;
constexpr unsigned char kGuardByte = 0xA7;
constexpr size_t kAlignment = 128;

bool intact(const unsigned char* guard) {
  for (size_t i = 0; i < kGuard; ++i) {
    if (guard[i] != kGuardByte) return false;
  }
  return true;
}

}  // namespace

void BlockMemory::Free::operator()(void* at) const { std::free(at); }

void* BlockMemory::array(const void* key, size_t bytes, const char* name) {
  for (Array& array : arrays_) {
    if (array.key != key) continue;
    acquire(array.memory.get());
    return array.memory.get() + kGuard;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes + 2 * kGuard) != 0) throw std::bad_alloc();
  auto* at = static_cast<unsigned char*>(memory);
  std::memset(at, kGuardByte, kGuard);
  std::memset(at + kGuard, 0xFF, bytes);
  std::memset(at + kGuard + bytes, kGuardByte, kGuard);
  arrays_.push_back({key, name, bytes, std::unique_ptr<unsigned char, Free>(at)});
  release(at);
  return at + kGuard;
}

const char* BlockMemory::damaged() const {
  for (const Array& array : arrays_) {
    const unsigned char* begin = array.memory.get();
    if (!intact(begin) || !intact(begin + kGuard + array.bytes)) return array.name;
  }
  return nullptr;
}

}  // namespace linnet::cuda::emulator
