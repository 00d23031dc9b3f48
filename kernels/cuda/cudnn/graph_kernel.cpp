#include "kernels/cuda/cudnn/graph_kernel.h"

#include "kernels/cuda/cudnn/filter_args.h"
#include "kernels/cuda/cudnn/session.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda::cudnn {
namespace {

constexpr size_t kWorkspaceAlignment = 256;

size_t rounded(size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

Address moved(Address address, size_t bytes) { return {address.word + bytes}; }

const Function& filter_function(size_t element_bytes) {
  static const Function two("filter_2", kFilterThreads), four("filter_4", kFilterThreads),
      eight("filter_8", kFilterThreads);
  return element_bytes == 2 ? two : element_bytes == 4 ? four : eight;
}

/// y [columns, rows] = transpose of x [rows, columns].
void transpose(LaunchSink& sink, Address x, Address y, int64_t rows, int64_t columns,
               size_t element_bytes) {
  const auto tiles = [](int64_t size) { return (size + kFilterTile - 1) / kFilterTile; };
  sink.launch(filter_function(element_bytes), {blocks_for(tiles(rows) * tiles(columns), 1)},
              FilterArgs{global<const void>(x), global<void>(y), rows, columns});
}

class GraphKernel final : public DeviceKernel {
 public:
  GraphKernel(std::unique_ptr<Plan> plan, size_t tensors, std::vector<Binding> bindings)
      : plan_(std::move(plan)), tensors_(tensors), bindings_(std::move(bindings)) {
    bytes_ = rounded(plan_->workspace_bytes());
    for (const Binding& b : bindings_) {
      staged_at_.push_back(bytes_);
      if (b.is_staged) bytes_ += rounded(b.bytes);
    }
  }

  size_t workspace_bytes() const override { return bytes_; }

  void emit(LaunchSink& sink, Operands inputs, Operands outputs, Address workspace) const override {
    std::vector<Address> operands(tensors_ + 1);
    operands.back() = workspace;
    for (size_t i = 0; i < bindings_.size(); ++i) {
      const Binding& b = bindings_[i];
      const Address own = (b.is_output ? outputs : inputs)[b.operand];
      const Address staged = moved(workspace, staged_at_[i]);
      operands[static_cast<size_t>(b.tensor)] = b.is_staged ? staged : own;
      if (b.is_staged && !b.is_output) stage(sink, b, own, staged, b.rows, b.columns);
    }
    sink.library(this, &GraphKernel::enqueue, operands);
    for (size_t i = 0; i < bindings_.size(); ++i) {
      const Binding& b = bindings_[i];
      if (b.is_staged && b.is_output)
        stage(sink, b, moved(workspace, staged_at_[i]), outputs[b.operand], b.columns, b.rows);
    }
  }

 private:
  static void stage(LaunchSink& sink, const Binding& b, Address from, Address to, int64_t rows,
                    int64_t columns) {
    if (b.rows == 0) return sink.copy(to, from, b.bytes);
    transpose(sink, from, to, rows, columns, b.element_bytes);
  }

  static void enqueue(const void* prepared, void* stream, void* const* operands) {
    const auto& self = *static_cast<const GraphKernel*>(prepared);
    self.plan_->run(handle_on(stream), {operands, self.tensors_}, operands[self.tensors_]);
  }

  std::unique_ptr<Plan> plan_;
  size_t tensors_;
  std::vector<Binding> bindings_;
  std::vector<size_t> staged_at_;
  size_t bytes_ = 0;
};

}  // namespace

Type type_of(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return Type::kBF16;
    case DType::kF16:
      return Type::kF16;
    case DType::kF64:
      return Type::kF64;
    case DType::kI32:
      return Type::kI32;
    default:
      return Type::kF32;
  }
}

Binding bind(Id tensor, const KernelRequest& request, bool is_output, size_t operand) {
  const OperandView& view = (is_output ? request.outputs : request.inputs)[operand];
  Binding out{.tensor = tensor, .is_output = is_output, .operand = operand};
  out.element_bytes = size_of(view.dtype);
  out.bytes = static_cast<size_t>(element_count(view.shape)) * out.element_bytes;
  out.is_staged = view.alignment < kGraphAlignment;
  return out;
}

std::unique_ptr<Kernel> make_graph_kernel(const Graph& graph, std::vector<Binding> bindings,
                                          std::string& reason) {
  const Context* const context = find_context(reason);
  if (!context) return nullptr;
  Gpu& gpu = Gpu::at(0);
  gpu.make_current();
  const auto held = gpu.lock();  // of the handle
  BuildResult built = build(graph, *context);
  if (!built.plan) {
    reason = std::move(built.declined);
    return nullptr;
  }
  return std::make_unique<GraphKernel>(std::move(built.plan), graph.tensors.size(),
                                       std::move(bindings));
}

}  // namespace linnet::cuda::cudnn
