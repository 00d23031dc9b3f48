#include "kernels/cpu/back_end.h"

#include <cstring>
#include <string>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/memory/cpu_allocator.h"
#include "kernels/cpu/onednn/process_end.h"
#include "kernels/cpu/register/families.h"
#include "linnet/deterministic.h"
#include "linnet/error.h"
#include "linnet/instruction_set.h"
#include "linnet/parallel.h"

namespace linnet {
namespace {

/// Calls one kernel after the other.
class CpuRunner final : public ProgramRunner {
 public:
  explicit CpuRunner(std::span<const ProgramStep> steps) {
    for (const ProgramStep& step : steps) {
      steps_.push_back({static_cast<const HostKernel*>(step.kernel), step.run, step.request,
                        add(step.inputs), add(step.outputs), add({&step.workspace, 1})});
    }
  }

  size_t scratch_words() const override { return addresses_.size(); }

  void run(std::span<const uint64_t> bases, uint64_t* scratch) const override {
    for (size_t i = 0; i < addresses_.size(); ++i) scratch[i] = addresses_[i].resolve(bases.data());
    void* const* operands = reinterpret_cast<void* const*>(scratch);
    for (const Step& step : steps_) {
      const void* const* in = operands + step.inputs;
      void* const* out = operands + step.outputs;
      void* const workspace = operands[step.workspace];
      if (step.kernel)
        step.kernel->run(in, out, workspace);
      else
        step.run(*step.request, in, out, workspace);
    }
  }

 private:
  /// Everything the loop needs of a step; the numbers index the addresses.
  struct Step {
    const HostKernel* kernel;
    void (*run)(const KernelRequest&, const void* const*, void* const*, void*);
    const KernelRequest* request;
    size_t inputs, outputs, workspace;
  };

  size_t add(std::span<const Address> addresses) {
    addresses_.insert(addresses_.end(), addresses.begin(), addresses.end());
    return addresses_.size() - addresses.size();
  }

  std::vector<Step> steps_;
  std::vector<Address> addresses_;
};

class CpuBackEnd final : public BackEnd {
 public:
  KernelTable& kernels() override {
    static KernelTable* table = [] {
      instruction_set();  // before the first kernel: the environment may ask for one
      define_all_primitives();
      auto* fresh = new KernelTable;
      register_cpu_kernels(*fresh);
      return fresh;
    }();
    return *table;
  }

  Allocator& allocator(int index) override {
    if (index != 0) throw DeviceError("cpu:" + std::to_string(index) + ": there is only cpu:0");
    return cpu_allocator();
  }

  void run_eager(Device, const Kernel& kernel, std::span<const void* const> inputs,
                 std::span<void* const> outputs, void* workspace) override {
    static_cast<const HostKernel&>(kernel).run(inputs.data(), outputs.data(), workspace);
  }

  void upload(Device, void* to, const void* host, size_t bytes) override {
    std::memcpy(to, host, bytes);
  }
  void download(void* host, Device, const void* from, size_t bytes) override {
    std::memcpy(host, from, bytes);
  }
  void copy(Device, void* to, Device, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void synchronize(Device) override {}

  std::unique_ptr<ProgramRunner> make_runner(Device, std::span<const ProgramStep> steps) override {
    return std::make_unique<CpuRunner>(steps);
  }

  /// Beyond, the tiles of a fused program no longer fit into the first-level cache.
  FusionLimits fusion_limits() const override {
    return {.instructions = 48, .operands = 16, .results = 8};
  }
  int64_t panel_columns(DType dtype) const override {
    return dtype == DType::kF32 || dtype == DType::kF64 ? cpu::gemm_panel_columns(dtype) : 0;
  }
  size_t arena_alignment() const override { return 64; }
  /// Kernels take elements at any address that suits their type.
  size_t widest_alignment() const override { return 1; }
  /// Libraries divide the work among the threads there are at preparation, or may not; and at the
  /// end of the process there are none.
  uint64_t configuration() const override {
    return static_cast<uint64_t>(num_threads()) | uint64_t{is_deterministic()} << 32 |
           uint64_t{cpu::onednn::process_ends()} << 33;
  }
};

}  // namespace

BackEnd& cpu_back_end() {
  static BackEnd* back_end = new CpuBackEnd;
  return *back_end;
}

}  // namespace linnet
