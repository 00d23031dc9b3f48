// A kernel of the device that runs a cuDNN graph, with what has to be done before and after it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/copy/copy.h"
#include "kernels/cuda/cudnn/graph.h"
#include "linnet/kernel.h"

namespace linnet::cuda::cudnn {

/// Which operand of a kernel a tensor of the graph is. It may lie elsewhere, in the workspace,
/// while the graph runs: because cuDNN wants another layout or padding, or addresses that are
/// multiples of 16.
class Binding {
 public:
  /// The dense operand as it is, if it is aligned.
  Binding(Id tensor, const KernelRequest& request, bool is_output, size_t operand);

  /// Element i·own of the operand is element i·staged, for i in `shape`, of the tensor of the
  /// graph, which has `count` elements. What is not copied is zero.
  void stage(std::span<const int64_t> shape, std::span<const int64_t> own, int64_t own_offset,
             std::span<const int64_t> staged, int64_t staged_offset, int64_t count);

  Id tensor() const { return tensor_; }
  size_t staged_bytes() const { return staging_ ? static_cast<size_t>(count_) * element_ : 0; }
  /// Why the copy cannot be made; empty if it can.
  std::string reason() const { return staging_ ? staging_->reason() : std::string(); }
  /// Where the tensor lies, given where the copy would.
  Address place(std::span<const Address> inputs, std::span<const Address> outputs,
                Address staged) const;
  void before(LaunchSink& sink, std::span<const Address> inputs, Address staged) const;
  void after(LaunchSink& sink, std::span<const Address> outputs, Address staged) const;

 private:
  Id tensor_;
  bool is_output_;
  size_t operand_, element_, alignment_;
  int64_t own_count_, count_ = 0;
  bool clears_ = false;
  std::optional<CopyPlan> staging_;
};

/// Plans the graph. Null, and why, if cuDNN declines.
std::unique_ptr<Kernel> make_graph_kernel(const Graph& graph, std::vector<Binding> bindings,
                                          std::string& reason);

/// For floating dtypes and i32.
Type type_of(DType dtype);

}  // namespace linnet::cuda::cudnn
