#include "tests/failures/failing_new.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <new>

// Ends of this program's code, given by the linker.
extern "C" const char __executable_start, etext;

namespace linnet::test {
namespace {

struct State {
  bool on = false;
  bool triggered = false;
  long next = 0;
  FailingNew::Plan plan{};
};
constinit thread_local State state;

bool is_ours(const void* caller) {
  const char* address = static_cast<const char*>(caller);
  if (address >= &__executable_start && address < &etext) return true;
  if (!state.plan.in_standard_library) return false;
  Dl_info info{};
  return dladdr(caller, &info) && info.dli_fname && std::strstr(info.dli_fname, "libstdc++");
}

void* allocate(size_t bytes, size_t alignment, const void* caller) {
  if (state.on && is_ours(caller)) {
    const long index = state.next++;
    if (index == state.plan.first || (state.plan.from_then_on && index > state.plan.first)) {
      state.triggered = true;
      throw std::bad_alloc();
    }
  }
  const size_t size = bytes ? bytes : 1;
  void* block = alignment <= alignof(std::max_align_t)
                    ? std::malloc(size)
                    : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!block) throw std::bad_alloc();
  return block;
}

}  // namespace

FailingNew::FailingNew(Plan plan) { state = {true, false, 0, plan}; }
FailingNew::~FailingNew() { state.on = false; }
bool FailingNew::triggered() const { return state.triggered; }

}  // namespace linnet::test

void* operator new(size_t bytes) {
  return linnet::test::allocate(bytes, 0, __builtin_return_address(0));
}
void* operator new[](size_t bytes) {
  return linnet::test::allocate(bytes, 0, __builtin_return_address(0));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return linnet::test::allocate(bytes, static_cast<size_t>(alignment), __builtin_return_address(0));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete[](void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
