// What the threads of a block share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace linnet::cuda::emulator {

/// Shared arrays of one block. Each is an allocation of its own, so that the address sanitizer
/// knows where it ends; between guard words, which show a write beyond the ends without it.
class BlockMemory {
 public:
  /// At the first call with `key` an array of 0xFF.
  void* array(const void* key, size_t bytes, const char* name);
  /// @return the name of an array whose guards were written, or null.
  const char* damaged() const;
  void clear() { arrays_.clear(); }

 private:
  struct Free {
    void operator()(void* at) const;
  };
  struct Array {
    const void* key;
    const char* name;
    size_t bytes;
    std::unique_ptr<unsigned char, Free> memory;
  };
  std::vector<Array> arrays_;
};

}  // namespace linnet::cuda::emulator
