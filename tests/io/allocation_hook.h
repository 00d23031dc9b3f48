// Memory as a test wants it: the N-th `operator new` of this thread fails, and what is asked for is
// counted. The operators are those of the whole test program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::testing {

/// While it lives, the allocation after `allowed` more ones fails in this thread, or that and all
/// later ones.
class FailingAllocations {
 public:
  FailingAllocations(int64_t allowed, bool persistent);
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;
  ~FailingAllocations();
  /// Whether one has failed.
  static bool happened();
};

/// Counts the bytes that this thread holds more than at the beginning.
class CountedAllocations {
 public:
  CountedAllocations();
  static int64_t peak_bytes();
};

}  // namespace linnet::testing
