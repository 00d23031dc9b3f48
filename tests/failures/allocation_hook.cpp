#include "tests/failures/allocation_hook.h"

#include <dlfcn.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

// Ends of this program's code, given by the linker.
extern "C" const char __executable_start, etext;

namespace linnet::testing {
namespace {

thread_local int64_t allowed_left = -1;  // negative: nothing fails
thread_local bool all_later_fail = false, has_failed = false;
thread_local int64_t held = 0, peak = 0, made = 0;

thread_local Whose whose_fail = Whose::kEverybody;

bool is_concerned(const void* caller) {
  if (whose_fail == Whose::kEverybody) return true;
  const char* address = static_cast<const char*>(caller);
  if (address >= &__executable_start && address < &etext) return true;
  Dl_info info{};
  return whose_fail == Whose::kOursAndStandardLibrary && dladdr(caller, &info) && info.dli_fname &&
         std::strstr(info.dli_fname, "libstdc++");
}

bool fails_now(const void* caller) {
  if (allowed_left < 0 || !is_concerned(caller)) return false;
  if (allowed_left-- > 0) return false;
  has_failed = true;
  allowed_left = all_later_fail ? 0 : -1;
  return true;
}

void* counted(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  ++made;
  held += static_cast<int64_t>(::malloc_usable_size(block));
  if (held > peak) peak = held;
  return block;
}

void* allocate(size_t bytes, const void* caller) {
  if (fails_now(caller)) throw std::bad_alloc();
  return counted(std::malloc(bytes ? bytes : 1));
}

void* allocate(size_t bytes, std::align_val_t alignment, const void* caller) {
  if (fails_now(caller)) throw std::bad_alloc();
  const size_t unit = static_cast<size_t>(alignment);
  return counted(std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit));
}

void release(void* block) noexcept {
  if (block) held -= static_cast<int64_t>(::malloc_usable_size(block));
  std::free(block);
}

}  // namespace

FailingAllocations::FailingAllocations(int64_t allowed, bool persistent, Whose whose) {
  whose_fail = whose;
  has_failed = false;
  all_later_fail = persistent;
  allowed_left = allowed;
}
FailingAllocations::~FailingAllocations() { allowed_left = -1; }
bool FailingAllocations::happened() { return has_failed; }

CountedAllocations::CountedAllocations() { held = peak = made = 0; }
int64_t CountedAllocations::peak_bytes() { return peak; }
int64_t CountedAllocations::count() { return made; }

}  // namespace linnet::testing

void* operator new(size_t bytes) {
  return linnet::testing::allocate(bytes, __builtin_return_address(0));
}
void* operator new[](size_t bytes) {
  return linnet::testing::allocate(bytes, __builtin_return_address(0));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return linnet::testing::allocate(bytes, alignment, __builtin_return_address(0));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return linnet::testing::allocate(bytes, alignment, __builtin_return_address(0));
}
// std::stable_sort asks in this way, and gives the block back in the usual one.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return linnet::testing::allocate(bytes, __builtin_return_address(0));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](size_t bytes, const std::nothrow_t& tag) noexcept {
  return operator new(bytes, tag);
}
void operator delete(void* block) noexcept { linnet::testing::release(block); }
void operator delete[](void* block) noexcept { linnet::testing::release(block); }
void operator delete(void* block, size_t) noexcept { linnet::testing::release(block); }
void operator delete[](void* block, size_t) noexcept { linnet::testing::release(block); }
void operator delete(void* block, std::align_val_t) noexcept { linnet::testing::release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { linnet::testing::release(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept {
  linnet::testing::release(block);
}
void operator delete[](void* block, size_t, std::align_val_t) noexcept {
  linnet::testing::release(block);
}
