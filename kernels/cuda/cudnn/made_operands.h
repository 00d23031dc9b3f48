// Operands of a graph that are not operands of the request: small kernels make them in the
// workspace before the graph runs.
//
//   MadeOperands made(request);
//   const size_t bias = made.add(DType::kBF16, shape, make_bias);
//   std::unique_ptr<Kernel> graph = …  // of made.request(), whose input `bias` it is
//   return std::move(made).kernel(std::move(graph), {});
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/register/device_kernel.h"
#include "linnet/kernel.h"
#include "linnet/shape.h"

namespace linnet::cuda::cudnn {

class MadeOperands {
 public:
  /// Writes a dense operand from the inputs of the request.
  using Make = std::function<void(LaunchSink&, Operands in, Address to)>;

  explicit MadeOperands(const KernelRequest& request);

  /// Its place among the inputs.
  size_t add(DType dtype, Shape shape, Make make);

  /// The request with what was added behind its inputs; lives as long as this.
  KernelRequest request() const { return {of_.primitive, of_.params, inputs_, of_.outputs}; }

  /// Makes, runs the graph, and then `after`, which gets all inputs. Null if the graph is.
  std::unique_ptr<Kernel> kernel(std::unique_ptr<Kernel> graph, Emit after) &&;

 private:
  struct Made {
    Shape shape;
    Strides strides;
    size_t bytes;
    Make make;
  };

  const KernelRequest& of_;
  std::deque<Made> made_;  // views keep their addresses
  std::vector<OperandView> inputs_;
};

}  // namespace linnet::cuda::cudnn
