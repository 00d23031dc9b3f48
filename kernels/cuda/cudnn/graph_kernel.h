// A kernel of the device that runs a cuDNN graph, with what has to be done before and after it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn/graph.h"
#include "linnet/kernel.h"

namespace linnet::cuda::cudnn {

/// Which operand of a kernel a tensor of the graph is.
struct Binding {
  Id tensor = kNone;
  bool is_output = false;
  size_t operand = 0;
  size_t bytes = 0;
  /// Lies elsewhere, in the workspace, while the graph runs: because the operand is not aligned as
  /// cuDNN wants it, or because the graph wants the transpose of a matrix [rows, columns].
  bool is_staged = false;
  int64_t rows = 0, columns = 0;
  size_t element_bytes = 0;
};

/// cuDNN reads and writes 16 bytes at once.
constexpr size_t kGraphAlignment = 16;

/// The binding of a dense operand as it is.
Binding bind(Id tensor, const KernelRequest& request, bool is_output, size_t operand);

/// Plans the graph. Null, and why, if cuDNN declines.
std::unique_ptr<Kernel> make_graph_kernel(const Graph& graph, std::vector<Binding> bindings,
                                          std::string& reason);

/// The type of a tensor of the graph. @throws Nothing: callers decline other dtypes before.
Type type_of(DType dtype);

}  // namespace linnet::cuda::cudnn
