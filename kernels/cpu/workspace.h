// The scratch memory of a kernel, which the caller brings: kernels allocate nothing, so that they
// cannot fail once they have begun to write.
//
// What a kernel needs is listed once, in a struct whose constructor takes the parts. On no memory
// it measures, on the memory of a call it finds its parts:
//
//   struct SortScratch {
//     SortScratch(Workspace& w, int64_t length) : items(w.take<Item>(length)) {}
//     Item* items;
//   };
//   size_t bytes = workspace_bytes<SortScratch>(length);
//   Workspace w(memory);  SortScratch scratch(w, length);
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::cpu {

class Workspace {
 public:
  /// @param memory aligned to 64 bytes, or null to measure.
  explicit Workspace(void* memory) : memory_(static_cast<std::byte*>(memory)) {}

  /// Room for `count` elements, uninitialised; null while measuring.
  template <class T>
  T* take(int64_t count) {
    const size_t at = bytes_;
    bytes_ += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return memory_ ? reinterpret_cast<T*>(memory_ + at) : nullptr;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  size_t bytes_ = 0;
};

/// Bytes that a struct of parts takes.
template <class Parts, class... A>
size_t workspace_bytes(const A&... arguments) {
  Workspace measured(nullptr);
  [[maybe_unused]] const Parts parts(measured, arguments...);
  return measured.bytes();
}

}  // namespace linnet::cpu
