// Private: memory that holds machine code. It is never writable and executable at the same time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace linnet::cpu::codegen {

/// Pages with a copy of some code.
class ExecutableMemory {
 public:
  /// @return null where the system refuses: such memory is forbidden to the process, or used up.
  static std::unique_ptr<ExecutableMemory> make(std::span<const unsigned char> code);
  ~ExecutableMemory();
  ExecutableMemory(const ExecutableMemory&) = delete;
  ExecutableMemory& operator=(const ExecutableMemory&) = delete;

  const void* code() const { return pages_; }

 private:
  ExecutableMemory(void* pages, size_t bytes) : pages_(pages), bytes_(bytes) {}

  void* pages_;
  size_t bytes_;
};

}  // namespace linnet::cpu::codegen
