#include "kernels/cuda/register/device_kernel.h"

#include <limits>

#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

class EmittedKernel final : public DeviceKernel {
 public:
  EmittedKernel(Emit emit, size_t workspace_bytes)
      : emit_(std::move(emit)), workspace_bytes_(workspace_bytes) {}
  size_t workspace_bytes() const override { return workspace_bytes_; }
  void emit(LaunchSink& sink, Operands inputs, Operands outputs, Address workspace) const override {
    emit_(sink, inputs, outputs, workspace);
  }

 private:
  Emit emit_;
  size_t workspace_bytes_;
};

}  // namespace

std::unique_ptr<Kernel> make_device_kernel(Emit emit, size_t workspace_bytes) {
  return std::make_unique<EmittedKernel>(std::move(emit), workspace_bytes);
}

uint32_t blocks_for(int64_t count, int64_t per_block) {
  const int64_t blocks = count / per_block + (count % per_block != 0);
  if (blocks > std::numeric_limits<int32_t>::max())
    fail<ValueError>("cuda: a launch of {} blocks of {} elements", blocks, per_block);
  return static_cast<uint32_t>(blocks);
}

}  // namespace linnet::cuda
