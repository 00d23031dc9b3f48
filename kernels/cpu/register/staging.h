// Private: runs a prepared kernel on operands that it does not take as they are, through copies in
// the workspace that have the layout, dtype or padding it wants.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/cpu/onednn/prepared.h"
#include "linnet/kernel.h"

namespace linnet::cpu {

/// to[to_offset + i·to_strides] = from[from_offset + i·from_strides], converted, for i in `shape`.
/// Everything counts elements.
struct Staging {
  DType from = DType::kF32, to = DType::kF32;
  Shape shape;
  Strides from_strides, to_strides;
  int64_t from_offset = 0, to_offset = 0;
  int64_t temporary_size = 0;  ///< of the copy in the workspace
  int64_t cleared_size = 0;  ///< elements of the target that are zeroed first; 0 if all are written
};

/// A dense copy in another dtype, without change of layout.
Staging conversion(DType from, DType to, const Shape& shape);

/// One operand of the prepared kernel: which operand of the primitive it is, and how it is copied.
struct StagedOperand {
  size_t index = 0;
  std::optional<Staging> staging = {};
};

class StagedKernel final : public HostKernel {
 public:
  /// @param result how the temporary result is copied to the real one; none: it is written
  /// directly.
  StagedKernel(std::unique_ptr<onednn::Prepared> kernel, std::vector<StagedOperand> operands,
               std::optional<Staging> result);

  size_t workspace_bytes() const override { return workspace_bytes_; }
  void run(const void* const* inputs, void* const* outputs, void* workspace) const override;

 private:
  std::unique_ptr<onednn::Prepared> kernel_;
  std::vector<StagedOperand> operands_;
  std::optional<Staging> result_;
  std::vector<size_t> offsets_;  // of the copies in the workspace, the result's last
  size_t workspace_bytes_ = 0;
};

/// Sets the result to zero: sums over nothing.
class ZeroKernel final : public HostKernel {
 public:
  explicit ZeroKernel(size_t bytes) : bytes_(bytes) {}
  void run(const void* const* inputs, void* const* outputs, void* workspace) const override;

 private:
  size_t bytes_;
};

}  // namespace linnet::cpu
