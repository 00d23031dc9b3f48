#include "kernels/cuda/cudnn/made_operands.h"

#include "kernels/cuda/launch/workspace.h"

namespace linnet::cuda::cudnn {

MadeOperands::MadeOperands(const KernelRequest& request)
    : of_(request), inputs_(request.inputs.begin(), request.inputs.end()) {}

size_t MadeOperands::add(DType dtype, Shape shape, Make make) {
  const size_t bytes = static_cast<size_t>(element_count(shape)) * size_of(dtype);
  const Strides strides = dense_strides(shape);
  const Made& made = made_.emplace_back(Made{std::move(shape), strides, bytes, std::move(make)});
  inputs_.push_back({dtype, made.shape, made.strides, kWorkspaceAlignment});
  return inputs_.size() - 1;
}

std::unique_ptr<Kernel> MadeOperands::kernel(std::unique_ptr<Kernel> graph, Emit after) && {
  if (!graph || (made_.empty() && !after)) return graph;
  struct Step {
    Make make;
    size_t at;
  };
  std::vector<Step> steps;
  size_t bytes = workspace_size(graph->workspace_bytes());
  for (Made& made : made_) {
    steps.push_back({std::move(made.make), bytes});
    bytes += workspace_size(made.bytes);
  }
  return make_device_kernel(
      [steps = std::move(steps), after = std::move(after),
       graph = std::shared_ptr<Kernel>(std::move(graph))](LaunchSink& sink, Operands in,
                                                          Operands out, Address workspace) {
        std::vector<Address> all(in.begin(), in.end());
        for (const Step& step : steps) {
          all.push_back({workspace.word + step.at});
          step.make(sink, in, all.back());
        }
        static_cast<const DeviceKernel&>(*graph).emit(sink, all, out, workspace);
        if (after) after(sink, all, out, workspace);
      },
      bytes);
}

}  // namespace linnet::cuda::cudnn
