#include "kernels/cpu/codegen/executable_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace linnet::cpu::codegen {

std::unique_ptr<ExecutableMemory> ExecutableMemory::make(std::span<const unsigned char> code) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = (code.size() + page - 1) / page * page;
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  std::memcpy(pages, code.data(), code.size());
  if (mprotect(pages, bytes, PROT_READ | PROT_EXEC) != 0) {
    munmap(pages, bytes);
    return nullptr;
  }
  return std::unique_ptr<ExecutableMemory>(new ExecutableMemory(pages, bytes));
}

ExecutableMemory::~ExecutableMemory() { munmap(pages_, bytes_); }

}  // namespace linnet::cpu::codegen
