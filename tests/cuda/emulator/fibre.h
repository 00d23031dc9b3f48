// Stacks that one thread of the host changes between.
#pragma once

#include <cstddef>

#if !defined(__x86_64__) && !defined(__aarch64__)
#define LINNET_FIBRE_UCONTEXT 1
#endif
#if defined(LINNET_FIBRE_UCONTEXT)
#include <ucontext.h>
#endif

namespace linnet::cuda::emulator {

/// A stack with what waits on it.
struct Fibre {
#if defined(LINNET_FIBRE_UCONTEXT)
  ucontext_t context;
#else
  void* stack_pointer = nullptr;
#endif
  /// Of the address sanitizer: the lowest address and size of the stack, and its record of locals.
  const void* bottom = nullptr;
  size_t bytes = 0;
  void* fake_stack = nullptr;
  bool prepared = false;
};

/// Gives a fibre a stack. The `index` decides where on its pages the stack begins, so that the tops
/// of many stacks do not fall into the same lines of the processor's cache.
/// @throws std::bad_alloc
void allocate_stack(Fibre& fibre, size_t index);

/// What was on the stack is forgotten; the next `change` to it calls `main`, which never returns.
void prepare(Fibre& fibre, void (*main)());

/// Waits as `from` and goes on as `to`. Returns when another fibre changes to `from`.
void change(Fibre& from, Fibre& to);

/// The first call of each `main`.
void arrived();

}  // namespace linnet::cuda::emulator
