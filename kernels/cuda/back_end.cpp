#include "kernels/cuda/back_end.h"

#include "kernels/cuda/launch/record.h"
#include "kernels/cuda/launch/runner.h"
#include "kernels/cuda/register/register.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/deterministic.h"
#include "linnet/parallel.h"
#include "linnet/precision.h"

namespace linnet::cuda {
namespace {

class CudaBackEnd final : public BackEnd {
 public:
  int device_count() override { return Gpu::count(); }

  KernelTable& kernels() override {
    static KernelTable* table = [] {
      auto* fresh = new KernelTable;
      register_kernels(*fresh);
      return fresh;
    }();
    return *table;
  }

  Allocator& allocator(int index) override { return Gpu::at(index).allocator(); }

  void run_eager(Device device, const Kernel& kernel, std::span<const void* const> inputs,
                 std::span<void* const> outputs, void* workspace) override {
    Gpu& gpu = Gpu::at(device.index);
    gpu.make_current();
    SmallVector<Address, 16> operands;
    for (const void* x : inputs) operands.push_back(Address::of(x));
    for (void* y : outputs) operands.push_back(Address::of(y));
    const std::span<const Address> all(operands.data(), operands.size());
    const auto held = gpu.lock();
    EagerSink sink(gpu, gpu.stream());
    static_cast<const DeviceKernel&>(kernel).emit(
        sink, all.first(inputs.size()), all.subspan(inputs.size()), Address::of(workspace));
  }

  void upload(Device device, void* to, const void* host, size_t bytes) override {
    Gpu::at(device.index).upload(to, host, bytes);
  }
  void download(void* host, Device device, const void* from, size_t bytes) override {
    Gpu::at(device.index).download(host, from, bytes);
  }
  void copy(Device to_device, void* to, Device from_device, const void* from,
            size_t bytes) override {
    Gpu::at(to_device.index).copy(to, Gpu::at(from_device.index), from, bytes);
  }
  void synchronize(Device device) override { Gpu::at(device.index).synchronize("synchronize"); }

  std::unique_ptr<ProgramRunner> make_runner(Device device,
                                             std::span<const ProgramStep> steps) override {
    return cuda::make_runner(Gpu::at(device.index), steps);
  }

  /// A generated kernel holds its values in registers, and pointers in its parameters.
  FusionLimits fusion_limits() const override {
    return {.instructions = 200, .operands = 24, .results = 8};
  }
  /// `host` prepares kernels of the CPU; libraries follow the precision.
  uint64_t configuration() const override {
    return static_cast<uint64_t>(num_threads()) << 8 |
           static_cast<uint64_t>(is_deterministic()) << 4 |
           static_cast<uint64_t>(matmul_precision());
  }
};

}  // namespace

BackEnd& back_end() {
  static BackEnd* back_end = new CudaBackEnd;
  return *back_end;
}

}  // namespace linnet::cuda
