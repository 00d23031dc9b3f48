// Private: how long the values of a lowered program are needed, and how much memory that is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/exec/storage.h"

namespace linnet {

/// Bytes of the arena that are in use while each step runs; no plan of offsets can need less than
/// the largest. @param alignment of values in the arena.
std::vector<int64_t> bytes_in_use(const StoragePlan& storage, size_t steps, size_t alignment = 1);

/// The steps that read each root of a program, ascending.
class Readers {
 public:
  explicit Readers(const LoweredProgram& program);
  std::span<const int32_t> operator[](int32_t root) const {
    const auto at = static_cast<size_t>(root);
    return {steps_.data() + ends_[at], steps_.data() + ends_[at + 1]};
  }
  /// The last reader of `root` before `step`, or -1.
  int32_t before(int32_t root, int32_t step) const;
  /// Its first reader from `step` on, or -1.
  int32_t from(int32_t root, int32_t step) const;

 private:
  std::vector<int32_t> steps_;
  std::vector<size_t> ends_;
};

}  // namespace linnet
