#include "cuda/emulator/fibre.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#include "cuda/emulator/sanitizers.h"

// void linnet_fibre_change(void** leave, void* enter): keeps what a function must keep on the stack
// that it leaves, and takes it from the one that it enters.
#if defined(LINNET_FIBRE_UCONTEXT)
#elif defined(__x86_64__)
asm(R"(
.text
.balign 16
.type linnet_fibre_change, @function
linnet_fibre_change:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size linnet_fibre_change, .-linnet_fibre_change
)");
#elif defined(__aarch64__)
asm(R"(
.text
.balign 16
.type linnet_fibre_change, %function
linnet_fibre_change:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size linnet_fibre_change, .-linnet_fibre_change
)");
#endif

#if !defined(LINNET_FIBRE_UCONTEXT)
extern "C" void linnet_fibre_change(void** leave, void* enter);
#endif

namespace linnet::cuda::emulator {
namespace {

// Whoever changed last, whose stack the sanitizer tells the one that goes on.
Fibre* left = nullptr;

#if !defined(LINNET_FIBRE_UCONTEXT)
// The words that linnet_fibre_change takes from a stack, and which of them is the return address.
#if defined(__x86_64__)
constexpr size_t kWords = 8, kReturn = 6;
#else
constexpr size_t kWords = 20, kReturn = 11;
#endif
#endif

}  // namespace

void allocate_stack(Fibre& fibre, size_t index) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = kStackBytes + page;  // below the stack: a page that may not be touched
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (at == MAP_FAILED || mprotect(at, page, PROT_NONE) != 0) throw std::bad_alloc();
  fibre.bottom = static_cast<char*>(at) + page;
  fibre.bytes = kStackBytes - index % 32 * 128;
}

void prepare(Fibre& fibre, void (*main)()) {
  unpoison(fibre.bottom, fibre.bytes);
  fibre.fake_stack = nullptr;
  fibre.prepared = true;
#if defined(LINNET_FIBRE_UCONTEXT)
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = const_cast<void*>(fibre.bottom);
  fibre.context.uc_stack.ss_size = fibre.bytes;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, main, 0);
#else
  const uintptr_t top = (reinterpret_cast<uintptr_t>(fibre.bottom) + fibre.bytes) & ~uintptr_t{15};
  auto* words = reinterpret_cast<uintptr_t*>(top) - kWords;
  for (size_t i = 0; i < kWords; ++i) words[i] = 0;
  words[kReturn] = reinterpret_cast<uintptr_t>(main);
  fibre.stack_pointer = words;
#endif
}

void change(Fibre& from, Fibre& to) {
  left = &from;
  start_change(&from.fake_stack, to.bottom, to.bytes);
#if defined(LINNET_FIBRE_UCONTEXT)
  swapcontext(&from.context, &to.context);
#else
  linnet_fibre_change(&from.stack_pointer, to.stack_pointer);
#endif
  finish_change(from.fake_stack, &left->bottom, &left->bytes);
}

void arrived() { finish_change(nullptr, &left->bottom, &left->bytes); }

}  // namespace linnet::cuda::emulator
