// The CPU's kernels as kernels of the device: operands are copied to the host in the order of the
// stream, a function of the stream computes, results are copied back. Nobody waits, and a graph can
// hold it; but a device stands still meanwhile, so it serves what nobody else takes.
#include <cstring>

#include "core/ops/fused.h"
#include "core/ops/nn.h"
#include "core/trace/eval.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

constexpr size_t kAlignment = 64;

size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// The bytes between the first and the last element of an operand.
struct Span {
  int64_t first = 0;  ///< relative to the operand's address
  size_t bytes = 0;
  size_t at = 0;  ///< in the host area
};

Span span_of(const OperandView& view) {
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  int64_t low = 0, high = 0;
  for (size_t d = 0; d < view.shape.size(); ++d) {
    if (view.shape[d] == 0) return {};
    const int64_t reach = (view.shape[d] - 1) * view.strides[d];
    (reach < 0 ? low : high) += reach;
  }
  return {low * size, static_cast<size_t>((high - low + 1) * size)};
}

class HostKernelOnDevice final : public DeviceKernel {
 public:
  HostKernelOnDevice(const KernelRequest& from, ChosenKernel chosen)
      : primitive_(from.primitive), params_(from.params), chosen_(std::move(chosen)) {
    for (const auto& views : {from.inputs, from.outputs}) {
      for (const OperandView& view : views)
        layouts_.push_back({view.dtype, Shape(view.shape), Strides(view.strides)});
    }
    for (const TensorLayout& x : layouts_) views_.push_back({x.dtype, x.shape, x.strides});
    inputs_ = from.inputs.size();
    for (const OperandView& view : views_) {
      Span span = span_of(view);
      span.at = bytes_;
      bytes_ += rounded(span.bytes);
      spans_.push_back(span);
    }
    workspace_ = bytes_;
    bytes_ += rounded(chosen_.workspace_bytes(request()));
  }
  ~HostKernelOnDevice() override {
    // Functions of the stream may still read it.
    for (const auto& call : calls_) {
      if (call->gpu) driver().cuStreamSynchronize(call->gpu->stream());
    }
  }

  void emit(LaunchSink& sink, Operands inputs, Operands outputs, Address) const override {
    std::vector<Address> operands(inputs.begin(), inputs.end());
    operands.insert(operands.end(), outputs.begin(), outputs.end());
    sink.library(this, enqueue, operands);
  }

 private:
  /// What a function of the stream is given.
  struct Call {
    const HostKernelOnDevice* kernel;
    Gpu* gpu;
    std::byte* area;
  };

  KernelRequest request() const {
    const std::span<const OperandView> all(views_);
    return {primitive_, params_, all.first(inputs_), all.subspan(inputs_)};
  }

  static void enqueue(const void* prepared, void* stream, void* const* operands) {
    const auto& self = *static_cast<const HostKernelOnDevice*>(prepared);
    auto* const queue = static_cast<CUstream>(stream);
    const Driver& cu = driver();
    Gpu& gpu = Gpu::of_stream(queue);
    ++gpu.counters().host_kernels;
    Call& call = self.call_for(gpu);
    const auto address = [&](size_t i) {
      return reinterpret_cast<CUdeviceptr>(operands[i]) +
             static_cast<CUdeviceptr>(self.spans_[i].first);
    };
    for (size_t i = 0; i < self.inputs_; ++i) {
      const Span& span = self.spans_[i];
      if (span.bytes == 0) continue;
      check(cu.cuMemcpyDtoHAsync(call.area + span.at, address(i), span.bytes, queue),
            "copying an operand to the host");
    }
    check(cu.cuLaunchHostFunc(queue, compute, &call), "calling a kernel of the host");
    for (size_t i = self.inputs_; i < self.spans_.size(); ++i) {
      const Span& span = self.spans_[i];
      if (span.bytes == 0) continue;
      check(cu.cuMemcpyHtoDAsync(address(i), call.area + span.at, span.bytes, queue),
            "copying a result to the device");
    }
  }

  /// Calls stay where they are: graphs keep their addresses.
  Call& call_for(Gpu& gpu) const {
    std::byte* const area = gpu.host_area(bytes_ + 1);
    const std::lock_guard lock(mutex_);
    for (const auto& call : calls_) {
      if (call->gpu == &gpu && call->area == area) return *call;
    }
    return *calls_.emplace_back(std::make_unique<Call>(Call{this, &gpu, area}));
  }

  /// May call nothing of the driver, and must not throw into it.
  static void compute(void* data) {
    const Call& call = *static_cast<const Call*>(data);
    const HostKernelOnDevice& self = *call.kernel;
    try {
      std::vector<void*> operands;
      for (const Span& span : self.spans_) operands.push_back(call.area + span.at - span.first);
      void* const* const all = operands.data();
      void* const workspace = call.area + self.workspace_;
      if (self.chosen_.prepared) {
        static_cast<const HostKernel&>(*self.chosen_.prepared)
            .run(all, all + self.inputs_, workspace);
      } else {
        self.chosen_.implementation->run(self.request(), all, all + self.inputs_, workspace);
      }
    } catch (...) {
      call.gpu->keep_error(std::current_exception());
    }
  }

  const Primitive& primitive_;
  Params params_;
  ChosenKernel chosen_;
  std::vector<TensorLayout> layouts_;
  std::vector<OperandView> views_;
  std::vector<Span> spans_;
  size_t inputs_ = 0, workspace_ = 0, bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Call>> calls_;
};

bool all_dense(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (!is_dense(x.shape, x.strides)) return false;
  }
  return true;
}

std::unique_ptr<Kernel> prepare_host(const KernelRequest& request, std::string& reason) {
  ChosenKernel chosen = choose_kernel(request, Device{}, reason);
  if (!chosen.implementation) return nullptr;
  if (!chosen.implementation->strided && !all_dense(request)) {
    reason = "strided operands";
    return nullptr;
  }
  return std::make_unique<HostKernelOnDevice>(request, std::move(chosen));
}

/// Large products and what surrounds them: what the device's kernels decline is better done there
/// in parts.
bool is_better_in_parts(const Primitive& primitive) {
  return &primitive == &linear_bias_activation_primitive() ||
         &primitive == &attention_primitive() || &primitive == &attention_backward_primitive();
}

}  // namespace

void register_host(KernelTable& table) {
  for (const Primitive* primitive : all_primitives()) {
    if (is_better_in_parts(*primitive)) continue;
    if (kernel_table(Device{}).implementations(*primitive).empty()) continue;
    for (const bool strided : {true, false}) {
      table.add(*primitive, {.name = strided ? "host" : "host on dense operands",
                             .strided = strided,
                             .prepare = prepare_host,
                             .never_throws = true,
                             .complex = true});
    }
  }
}

}  // namespace linnet::cuda
