// Memory as a test wants it: the N-th `operator new` of this thread fails, and what is asked for is
// counted. The operators are those of the whole test program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::testing {

/// Whose allocations fail. Libraries that end the process when memory is short must not meet it:
/// they call operator new too, and the compiled part of the C++ library on their own behalf.
enum class Whose { kEverybody, kOursAndStandardLibrary, kOurs };

/// While it lives, the allocation after `allowed` more ones fails in this thread, or that and all
/// later ones.
class FailingAllocations {
 public:
  FailingAllocations(int64_t allowed, bool persistent, Whose whose = Whose::kEverybody);
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;
  ~FailingAllocations();
  /// Whether one has failed.
  static bool happened();
};

/// Counts the bytes that this thread holds more than at the beginning, and its allocations.
class CountedAllocations {
 public:
  CountedAllocations();
  static int64_t peak_bytes();
  static int64_t count();
};

}  // namespace linnet::testing
