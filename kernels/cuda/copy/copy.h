// Copies between strided operands of the device: which kernel, in words as wide as the operands
// allow.
//
//   const CopyPlan plan(4, shape, {x_strides, 0, 16}, {y_strides, 0, 16});
//   plan.emit(sink, x, y);
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kernels/cuda/copy/copy_args.h"
#include "kernels/cuda/launch/function.h"

namespace linnet::cuda {

/// One side of a copy; strides and offset in elements. `alignment` is that of the address without
/// the offset.
struct CopySide {
  std::span<const int64_t> strides;
  int64_t offset = 0;
  size_t alignment = 1;
};

/// Where a side of a copy is moved to, by integers on the device.
struct CopyStarts {
  bool moves_destination = false;
  std::span<const DType> dtypes;
  std::span<const int64_t> limits;   ///< of each dimension: the greatest start
  std::span<const int64_t> strides;  ///< in elements
};

class CopyPlan {
 public:
  /// @param element bytes: 1, 2, 4 or 8.
  CopyPlan(size_t element, std::span<const int64_t> shape, const CopySide& from, const CopySide& to,
           const CopyStarts* starts = nullptr);

  /// Why copies of this kind cannot be made; empty if they can.
  const std::string& reason() const { return reason_; }
  /// `starts`: one for each dimension, if they are given. Nothing is copied onto itself.
  void emit(LaunchSink& sink, Address from, Address to, std::span<const Address> starts = {}) const;

 private:
  struct Bytes {
    int64_t from, to;
    size_t count;
  };
  template <class Args>
  struct Step {
    const Function* function;
    uint32_t blocks;
    int64_t from, to;  ///< bytes
    Args args;
  };
  using AnyStep = std::variant<Bytes, Step<CopyArgs>, Step<DynamicCopyArgs>, Step<FillArgs>,
                               Step<TransposeArgs>>;

  void plan(size_t element, std::span<const int64_t> shape, const CopySide& from,
            const CopySide& to, const CopyStarts* starts);

  std::string reason_;
  std::vector<AnyStep> steps_;
};

/// Sets the dense [count] elements at `to` to the element at `value`, or to zero if it is null.
void emit_fill(LaunchSink& sink, size_t element, int64_t count, Address value, Address to);

}  // namespace linnet::cuda
