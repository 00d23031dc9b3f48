#include "kernels/cuda/cudnn/graph_kernel.h"

#include "kernels/cuda/cudnn/session.h"
#include "kernels/cuda/launch/workspace.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/runtime/gpu.h"

namespace linnet::cuda::cudnn {
namespace {

/// cuDNN reads and writes 16 bytes at once.
constexpr size_t kGraphAlignment = 16;

class GraphKernel final : public DeviceKernel {
 public:
  GraphKernel(std::unique_ptr<Plan> plan, size_t tensors, std::vector<Binding> bindings)
      : plan_(std::move(plan)), tensors_(tensors), bindings_(std::move(bindings)) {
    bytes_ = workspace_size(plan_->workspace_bytes());
    for (const Binding& b : bindings_) {
      staged_at_.push_back(bytes_);
      bytes_ += workspace_size(b.staged_bytes());
    }
  }

  size_t workspace_bytes() const override { return bytes_; }

  void emit(LaunchSink& sink, Operands inputs, Operands outputs, Address workspace) const override {
    const auto staged = [&](size_t i) { return Address{workspace.word + staged_at_[i]}; };
    std::vector<Address> operands(tensors_ + 1);
    operands.back() = workspace;
    for (size_t i = 0; i < bindings_.size(); ++i) {
      const Binding& b = bindings_[i];
      operands[static_cast<size_t>(b.tensor())] = b.place(inputs, outputs, staged(i));
      b.before(sink, inputs, staged(i));
    }
    sink.library(this, &GraphKernel::enqueue, operands);
    for (size_t i = 0; i < bindings_.size(); ++i) bindings_[i].after(sink, outputs, staged(i));
  }

 private:
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

Binding::Binding(Id tensor, const KernelRequest& request, bool is_output, size_t operand)
    : tensor_(tensor), is_output_(is_output), operand_(operand) {
  const OperandView& view = (is_output ? request.outputs : request.inputs)[operand];
  element_ = size_of(view.dtype);
  alignment_ = view.alignment;
  own_count_ = element_count(view.shape);
  if (alignment_ >= kGraphAlignment) return;
  const int64_t shape[] = {own_count_}, strides[] = {1};
  stage(shape, strides, 0, strides, 0, own_count_);
}

void Binding::stage(std::span<const int64_t> shape, std::span<const int64_t> own,
                    int64_t own_offset, std::span<const int64_t> staged, int64_t staged_offset,
                    int64_t count) {
  const CopySide operand{own, own_offset, alignment_};
  const CopySide copy{staged, staged_offset, kWorkspaceAlignment};
  staging_.emplace(element_, shape, is_output_ ? copy : operand, is_output_ ? operand : copy);
  count_ = count;
  clears_ = element_count(shape) != (is_output_ ? own_count_ : count);
}

Address Binding::place(std::span<const Address> inputs, std::span<const Address> outputs,
                       Address staged) const {
  return staging_ ? staged : (is_output_ ? outputs : inputs)[operand_];
}

void Binding::before(LaunchSink& sink, std::span<const Address> inputs, Address staged) const {
  if (!staging_ || is_output_) return;
  if (clears_) emit_fill(sink, element_, count_, {}, staged);
  staging_->emit(sink, inputs[operand_], staged);
}

void Binding::after(LaunchSink& sink, std::span<const Address> outputs, Address staged) const {
  if (!staging_ || !is_output_) return;
  if (clears_) emit_fill(sink, element_, own_count_, {}, outputs[operand_]);
  staging_->emit(sink, staged, outputs[operand_]);
}

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

std::unique_ptr<Kernel> make_graph_kernel(const Graph& graph, std::vector<Binding> bindings,
                                          std::string& reason) {
  for (const Binding& b : bindings) {
    reason = b.reason();
    if (!reason.empty()) return nullptr;
  }
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
