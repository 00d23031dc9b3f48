// What the sanitizers are told about fibres; nothing without them.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// This library is not instrumented for the thread sanitizer, which is there when the program is.
extern "C" {
void* __tsan_get_current_fiber() __attribute__((weak));
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_destroy_fiber(void* fiber) __attribute__((weak));
void __tsan_switch_to_fiber(void* fiber, unsigned flags) __attribute__((weak));
void __tsan_acquire(void* address) __attribute__((weak));
void __tsan_release(void* address) __attribute__((weak));
}

namespace linnet::cuda::emulator {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
inline constexpr size_t kStackBytes = 512 * 1024;
inline void start_change(void** fake_stack, const void* bottom, size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
}
inline void finish_change(void* fake_stack, const void** bottom, size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
}
inline void unpoison(const void* at, size_t bytes) { __asan_unpoison_memory_region(at, bytes); }
#else
inline constexpr bool kAddressSanitizer = false;
inline constexpr size_t kStackBytes = 128 * 1024;
inline void start_change(void**, const void*, size_t) {}
inline void finish_change(void*, const void**, size_t*) {}
inline void unpoison(const void*, size_t) {}
#endif

/// Whether the program runs under the thread sanitizer.
inline bool watches_races() { return __tsan_create_fiber != nullptr; }

/// What happened before a release of `address` happened before what follows an acquire of it.
inline void acquire(void* address) {
  if (watches_races()) __tsan_acquire(address);
}
inline void release(void* address) {
  if (watches_races()) __tsan_release(address);
}

/// From now on the accesses are those of another thread, which the change does not order.
inline void become(void* tsan_fiber) {
  constexpr unsigned kNoSync = 1;
  if (watches_races()) __tsan_switch_to_fiber(tsan_fiber, kNoSync);
}

}  // namespace linnet::cuda::emulator
