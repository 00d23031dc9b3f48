#include "cuda/fake_driver/memory.h"

#include <cuda.h>
#include <sys/mman.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/context.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace linnet::fake_cuda {
namespace {

constexpr size_t kSlotBits = 16;  // a block begins at a multiple of 64 KiB, alone in its slots
constexpr size_t kSlot = size_t{1} << kSlotBits;
constexpr uint64_t kAddressBits = 48;

void poison(void* at, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(at, bytes);
#else
  (void)at, (void)bytes;
#endif
}
void unpoison(void* at, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(at, bytes);
#else
  (void)at, (void)bytes;
#endif
}

std::byte* reserve(size_t bytes, int protection) {
  void* at = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
}

std::string hexadecimal(uint64_t address) {
  std::array<char, 24> text;
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(address));
  return text.data();
}

/// A range of addresses from which blocks are cut, each with the block that lies there.
class Region {
 public:
  /// @param bytes_apart whether the bytes are elsewhere.
  Region(size_t most, bool bytes_apart) {
    for (size_ = most; size_ >= (size_t{1} << 32); size_ /= 2) {
      addresses_ = reserve(size_, PROT_NONE);
      bytes_ = bytes_apart ? reserve(size_, PROT_READ | PROT_WRITE) : addresses_;
      slots_ = reinterpret_cast<uint32_t*>(
          reserve(size_ / kSlot * sizeof(uint32_t), PROT_READ | PROT_WRITE));
      if (addresses_ && bytes_ && slots_) break;
    }
    begin_ = (reinterpret_cast<uint64_t>(addresses_) + kSlot - 1) / kSlot * kSlot;
    if (!addresses_ || begin_ + size_ >= uint64_t{1} << kAddressBits) {
      std::fprintf(stderr, "fake driver: no room for addresses\n");
      std::abort();
    }
    end_ = reinterpret_cast<uint64_t>(addresses_) + size_;
    next_ = begin_;
    apart_ = bytes_apart;
  }

  Block& cut(int device, size_t bytes) {
    // At least one byte behind each block belongs to nobody.
    const size_t slots = bytes / kSlot + 1;
    const uint64_t begin = place(slots);
    blocks_.push_back({begin, bytes, device, Block::State::kPlanned});
    for (size_t i = 0; i < slots; ++i)
      slots_[slot(begin) + i] = static_cast<uint32_t>(blocks_.size());
    poison(bytes_at(begin), slots * kSlot);
    return blocks_.back();
  }

  bool holds(uint64_t address) const { return address >= begin_ && address < end_; }
  Block* find(uint64_t address) {
    const uint32_t number = slots_[slot(address)];
    return number ? &blocks_[number - 1] : nullptr;
  }
  std::byte* bytes_at(uint64_t address) const {
    return bytes_ + (address - reinterpret_cast<uint64_t>(addresses_));
  }

  void open(const Block& block) {
    if (!apart_) mprotect(bytes_at(block.begin), block.bytes + 1, PROT_READ | PROT_WRITE);
    unpoison(bytes_at(block.begin), block.bytes);
    std::memset(bytes_at(block.begin), 0xff, block.bytes);
  }
  void close(const Block& block) {
    const size_t slots = block.bytes / kSlot + 1;
    madvise(bytes_at(block.begin), slots * kSlot, MADV_DONTNEED);
    if (!apart_) mprotect(bytes_at(block.begin), slots * kSlot, PROT_NONE);
    poison(bytes_at(block.begin), slots * kSlot);
  }

 private:
  size_t slot(uint64_t address) const { return (address - begin_) >> kSlotBits; }

  /// Free slots in a row; addresses come round only when all have been used.
  uint64_t place(size_t slots) {
    const size_t all = (end_ - begin_) / kSlot;
    size_t at = slot(next_);
    for (size_t tried = 0; tried < all;) {
      if (at + slots > all) {
        tried += all - at;
        at = 0;
        continue;
      }
      size_t run = 0;
      while (run < slots && is_free(at + run)) ++run;
      if (run == slots) {
        next_ = begin_ + (at + slots) * kSlot;
        if (next_ >= begin_ + all * kSlot) next_ = begin_;
        return begin_ + at * kSlot;
      }
      at += run + 1;
      tried += run + 1;
    }
    fail(CUDA_ERROR_OUT_OF_MEMORY, "no range of addresses is left");
  }
  bool is_free(size_t at) const {
    return !slots_[at] || blocks_[slots_[at] - 1].state == Block::State::kFreed;
  }

  size_t size_ = 0;
  std::byte* addresses_ = nullptr;
  std::byte* bytes_ = nullptr;
  uint32_t* slots_ = nullptr;  // 1 + the index of the block
  std::deque<Block> blocks_;
  uint64_t begin_ = 0, end_ = 0, next_ = 0;
  bool apart_ = false;
};

#if defined(__SANITIZE_THREAD__)
constexpr size_t kDeviceAddresses = size_t{1} << 36;
#else
constexpr size_t kDeviceAddresses = size_t{1} << 40;
#endif

Region& device_region() {
  static Region& region = *new Region(kDeviceAddresses, true);
  return region;
}
Region& pinned_region() {
  static Region& region = *new Region(size_t{1} << 36, false);
  return region;
}
Region* region_of(uint64_t address) {
  if (device_region().holds(address)) return &device_region();
  return pinned_region().holds(address) ? &pinned_region() : nullptr;
}

std::array<size_t, 8>& used() {
  static std::array<size_t, 8> bytes{};
  return bytes;
}

const char* name_of(Block::State state) {
  switch (state) {
    case Block::State::kPlanned:
      return "not allocated yet: the allocation waits in its stream";
    case Block::State::kFreed:
      return "freed";
    case Block::State::kAlive:
      break;
  }
  return "alive";
}

std::string describe(const Block& block) {
  return "a block of " + std::to_string(block.bytes) + " bytes at " + hexadecimal(block.begin) +
         (block.device < 0 ? " of pinned memory" : " of device " + std::to_string(block.device));
}

}  // namespace

uint64_t plan_block(int device, size_t bytes) {
  if (used()[device] + bytes > device_memory())
    fail(CUDA_ERROR_OUT_OF_MEMORY, std::to_string(bytes) + " bytes, of " +
                                       std::to_string(device_memory()) + " bytes " +
                                       std::to_string(used()[device]) + " are in use");
  used()[device] += bytes;
  return device_region().cut(device, bytes).begin;
}

void make_alive(uint64_t begin) {
  Block& block = *region_of(begin)->find(begin);
  region_of(begin)->open(block);
  block.state = Block::State::kAlive;
}

uint64_t allocate_pinned(size_t bytes) {
  const uint64_t begin = pinned_region().cut(-1, bytes).begin;
  make_alive(begin);
  return begin;
}

void free_block(uint64_t begin) {
  Region* region = region_of(begin);
  Block* block = region ? region->find(begin) : nullptr;
  if (!block || block->begin != begin)
    fail(CUDA_ERROR_INVALID_VALUE, "no block begins at " + hexadecimal(begin));
  if (block->state != Block::State::kAlive)
    fail(CUDA_ERROR_INVALID_VALUE,
         "free of " + hexadecimal(begin) + ": it is " + name_of(block->state));
  block->state = Block::State::kFreed;
  region->close(*block);
  if (block->device >= 0) used()[block->device] -= block->bytes;
}

bool is_device_address(uint64_t address) { return device_region().holds(address); }

const Block* block_of(uint64_t address) {
  Region* region = region_of(address);
  return region ? region->find(address) : nullptr;
}

void* checked_bytes(uint64_t address, size_t count, int device) {
  Region* region = region_of(address);
  if (!region) {
    if (device >= 0)
      fail(CUDA_ERROR_ILLEGAL_ADDRESS,
           "a kernel uses " + hexadecimal(address) + ", which is no memory of a device");
    return reinterpret_cast<void*>(address);
  }
  const Block* block = region->find(address);
  if (!block)
    fail(CUDA_ERROR_ILLEGAL_ADDRESS,
         "use of " + hexadecimal(address) + ", which was never allocated");
  if (block->state != Block::State::kAlive)
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, "use of " + hexadecimal(address) + " in " + describe(*block) +
                                         ", which is " + name_of(block->state));
  if (address + count > block->begin + block->bytes)
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, std::to_string(count) + " bytes at " + hexadecimal(address) +
                                         " reach beyond " + describe(*block));
  const bool foreign = device >= 0 && block->device >= 0 && block->device != device;
  if (foreign && !(primary_context(device).peers >> block->device & 1))
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, "device " + std::to_string(device) + " uses " +
                                         hexadecimal(address) + " of device " +
                                         std::to_string(block->device) + " without peer access");
  return region->bytes_at(address);
}

size_t used_memory(int device) { return used()[device]; }

}  // namespace linnet::fake_cuda
