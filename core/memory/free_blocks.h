// Free blocks of one size that a thread keeps for itself, so that the small objects and buffers of
// eager operations cost neither a lock nor a call of malloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace linnet {

/// A stack of free blocks, linked through their first bytes.
class FreeBlocks {
 public:
  void push(void* block) noexcept {
    *static_cast<void**>(block) = first_;
    first_ = block;
    ++count_;
  }
  /// Null if there is none.
  void* pop() noexcept {
    void* block = first_;
    if (block) {
      first_ = *static_cast<void**>(block);
      --count_;
    }
    return block;
  }
  uint32_t count() const { return count_; }

 private:
  void* first_ = nullptr;
  uint32_t count_ = 0;
};

/// `operator new` and `operator delete` of a class whose objects come and go with every operation.
/// An object may be deleted by another thread than the one that made it; that thread keeps the
/// block.
template <class T>
class ObjectPool {
 public:
  static void* take() {
    if (void* block = free_.pop()) return block;
    return ::operator new(sizeof(T));
  }

  static void give(void* block) noexcept {
    // A sanitizer sees the use of a deleted object only if its memory is not handed out again.
#if !defined(__SANITIZE_ADDRESS__)
    if (free_.count() < kMost && (open_ || open())) return free_.push(block);
#endif
    ::operator delete(block);
  }

 private:
  static constexpr uint32_t kMost = 2048;

  /// Frees the blocks when the thread ends. Objects that die later are not kept.
  struct Closer {
    ~Closer() {
      open_ = false;
      closed_ = true;
      while (void* block = free_.pop()) ::operator delete(block);
    }
  };

  static bool open() noexcept {
    if (closed_) return false;
    static thread_local Closer closer;
    open_ = true;
    return true;
  }

  static inline constinit thread_local FreeBlocks free_{};
  static inline constinit thread_local bool open_ = false;
  static inline constinit thread_local bool closed_ = false;
};

}  // namespace linnet
