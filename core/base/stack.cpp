#include "core/base/stack.h"

#include <pthread.h>

#include <cstddef>
#include <cstdint>

namespace linnet {
namespace {

struct Stack {
  uintptr_t low = 0, high = 0;
};

Stack stack_of_this_thread() noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* low = nullptr;
  size_t bytes = 0;
  const int status = pthread_attr_getstack(&attributes, &low, &bytes);
  pthread_attr_destroy(&attributes);
  if (status != 0) return {};
  return {reinterpret_cast<uintptr_t>(low), reinterpret_cast<uintptr_t>(low) + bytes};
}

}  // namespace

bool stack_nearly_full() noexcept {
  constexpr uintptr_t kLeft = 256 << 10;
  static thread_local const Stack stack = stack_of_this_thread();
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  return here > stack.low && here < stack.high && here - stack.low < kLeft;
}

}  // namespace linnet
