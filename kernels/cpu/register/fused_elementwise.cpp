// The kernel of clusters of elementwise operations: machine code, or a tile program.
#include "core/graph/fused_elementwise.h"

#include <vector>

#include "kernels/cpu/register/cluster_program.h"
#include "kernels/cpu/register/families.h"

namespace linnet {
namespace {

using cpu::codegen::ClusterKernel;

cpu::StridedSpace space_of(const KernelRequest& request) {
  std::vector<const int64_t*> strides;
  for (const OperandView& x : request.inputs) strides.push_back(x.strides.data());
  for (const OperandView& y : request.outputs) strides.push_back(y.strides.data());
  return {request.outputs[0].shape, strides};
}

/// Code that is made at once.
class CodeKernel final : public HostKernel {
 public:
  CodeKernel(cpu::StridedSpace space, std::unique_ptr<const ClusterKernel> code)
      : space_(std::move(space)), code_(std::move(code)) {}

  void run(const void* const* inputs, void* const* outputs, void*) const override {
    code_->run(space_, inputs, outputs);
  }

 private:
  cpu::StridedSpace space_;
  std::unique_ptr<const ClusterKernel> code_;
};

/// The interpreter, with machine code from the second run on if there can be any.
class TileKernel final : public HostKernel {
 public:
  TileKernel(cpu::TileProgram program, cpu::StridedSpace space, bool has_code)
      : tiles_(std::move(program), std::move(space)), has_code_(has_code) {}

  size_t workspace_bytes() const override { return tiles_.workspace_bytes(); }

  void run(const void* const* inputs, void* const* outputs, void* workspace) const override {
    if (has_code_) {
      if (const ClusterKernel* code = code_.of_this_run(tiles_, {}))
        return code->run(tiles_.space(), inputs, outputs);
    }
    tiles_.run(inputs, outputs, workspace);
  }

 private:
  ClusterTiles tiles_;
  bool has_code_;
  ClusterCode code_;
};

std::unique_ptr<Kernel> prepare_code(const KernelRequest& request, std::string& reason) {
  auto program = tile_program_of(*request.params.as<FusedElementwiseParams>().body, reason);
  if (!program) return nullptr;
  cpu::StridedSpace space = space_of(request);
  if (needs_code_at_once(*program, space)) {
    auto code = ClusterKernel::make(*program, space, {}, reason);
    if (!code) return nullptr;
    return std::make_unique<CodeKernel>(std::move(space), std::move(code));
  }
  reason = ClusterKernel::why_not(*program, space, {});
  if (!reason.empty()) return nullptr;
  return std::make_unique<TileKernel>(std::move(*program), std::move(space), true);
}

std::unique_ptr<Kernel> prepare_tiles(const KernelRequest& request, std::string& reason) {
  if (request.inputs.size() > ClusterTiles::kMostOperands ||
      request.outputs.size() > ClusterTiles::kMostOperands) {
    reason = "too many operands";
    return nullptr;
  }
  auto program = tile_program_of(*request.params.as<FusedElementwiseParams>().body, reason);
  if (!program) return nullptr;
  return std::make_unique<TileKernel>(std::move(*program), space_of(request), false);
}

}  // namespace

void register_fused_elementwise(KernelTable& table) {
  const auto add = [&](const char* name, auto prepare) {
    table.add(fused_elementwise_primitive(), {.name = name,
                                              .strided = true,
                                              .in_place = true,
                                              .prepare = prepare,
                                              .never_throws = true});
  };
  add("machine code", prepare_code);
  add("tiles", prepare_tiles);
  register_fused_reduction(table);
}

}  // namespace linnet
