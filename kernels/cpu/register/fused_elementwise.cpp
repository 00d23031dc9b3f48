// The kernel of clusters of elementwise operations: machine code, or a tile program.
#include "core/graph/fused_elementwise.h"

#include <array>
#include <cstring>
#include <vector>

#include "core/ops/convert.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "kernels/cpu/codegen/cluster_kernel.h"
#include "kernels/cpu/interpreter/small_program.h"
#include "kernels/cpu/interpreter/tile_program.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/register/scalar_params.h"
#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet {
namespace {

int64_t integer_of(const Tensor& value) {
  int64_t out = 0;
  visit_dtype(value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      T typed;
      std::memcpy(&typed, host_view(value).impl()->data, sizeof typed);
      out = static_cast<int64_t>(typed);
    }
  });
  return out;
}

/// Translates a body; `reason` says what has no translation.
class Translator {
 public:
  explicit Translator(const Graph& body) : body_(body), registers_(body.types.size(), kNone) {}

  bool run(std::string& reason) {
    for (ValueId id : body_.inputs) registers_[id] = program_.add_input(body_.types[id].dtype);
    for (const auto& [id, value] : body_.constants) registers_[id] = immediate(value);
    for (const Graph::Node& node : body_.nodes) {
      if (!add(node)) {
        reason =
            fmt::format("{} of {}", node.primitive->name, to_string(body_.types[node.outputs[0]]));
        return false;
      }
    }
    for (ValueId id : body_.outputs) program_.add_output(registers_[id]);
    return true;
  }
  cpu::TileProgram take() { return std::move(program_); }

 private:
  static constexpr uint16_t kNone = 0xFFFF;

  uint16_t immediate(const Tensor& value) {
    if (is_floating(value.dtype()))
      return program_.add_immediate(value.dtype(), value.item<double>());
    return program_.add_immediate(value.dtype(), integer_of(value));
  }

  bool add(const Graph::Node& node) {
    uint16_t& result = registers_[node.outputs[0]];
    if (node.primitive == &broadcast_in_dim_primitive()) {
      result = registers_[node.inputs[0]];
      return true;
    }
    if (node.primitive == &convert_primitive()) {
      result = program_.convert(registers_[node.inputs[0]], body_.types[node.outputs[0]].dtype);
      return true;
    }
    const std::optional<ScalarOp> op = find_scalar_op(node.primitive->name);
    const DType dtype = body_.types[node.inputs.back()].dtype;
    if (!op || !cpu::supports(*op, dtype)) return false;
    cpu::TileInstruction instruction;
    instruction.op = *op;
    instruction.dtype = dtype;
    instruction.dst = program_.add_register(returns_bool(*op) ? DType::kBool : dtype);
    for (size_t k = 0; k < node.inputs.size(); ++k) instruction.src[k] = registers_[node.inputs[k]];
    instruction.params[0] = scalar_op_info(*op).param_count ? scalar_param(node.params) : 0;
    program_.code.push_back(instruction);
    result = instruction.dst;
    return true;
  }

  const Graph& body_;
  cpu::TileProgram program_;
  std::vector<uint16_t> registers_;
};

std::vector<const int64_t*> strides_of(const KernelRequest& request) {
  std::vector<const int64_t*> strides;
  for (const OperandView& x : request.inputs) strides.push_back(x.strides.data());
  for (const OperandView& y : request.outputs) strides.push_back(y.strides.data());
  return strides;
}

class CodeKernel final : public HostKernel {
 public:
  CodeKernel(cpu::StridedSpace space, std::unique_ptr<const cpu::codegen::ClusterKernel> code)
      : space_(std::move(space)), code_(std::move(code)) {}

  void run(const void* const* inputs, void* const* outputs, void*) const override {
    code_->run(space_, inputs, outputs);
  }

 private:
  cpu::StridedSpace space_;
  std::unique_ptr<const cpu::codegen::ClusterKernel> code_;
};

class FusedKernel final : public HostKernel {
 public:
  FusedKernel(cpu::TileProgram program, const KernelRequest& request)
      : program_(std::move(program)),
        space_(request.outputs[0].shape, strides_of(request)),
        small_(cpu::SmallTileProgram::make(program_, space_)) {}

  size_t workspace_bytes() const override {
    return small_ ? 0 : program_.workspace_bytes(space_.element_count());
  }

  void run(const void* const* inputs, void* const* outputs, void* workspace) const override {
    if (small_) return small_->run(inputs, outputs);
    std::array<cpu::Operand, kMostOperands> in;
    std::array<cpu::Destination, kMostOperands> out;
    const size_t in_count = program_.program().inputs.size(),
                 out_count = program_.program().outputs.size();
    for (size_t i = 0; i < in_count; ++i) in[i] = {inputs[i], nullptr};
    for (size_t k = 0; k < out_count; ++k) out[k] = {outputs[k], nullptr};
    program_.run(space_, {in.data(), in_count}, {out.data(), out_count}, workspace);
  }

  static constexpr size_t kMostOperands = 64;

 private:
  cpu::CompiledTileProgram program_;
  cpu::StridedSpace space_;
  std::optional<cpu::SmallTileProgram> small_;
};

std::unique_ptr<Kernel> prepare_code(const KernelRequest& request, std::string& reason) {
  Translator translator(*request.params.as<FusedElementwiseParams>().body);
  if (!translator.run(reason)) return nullptr;
  cpu::StridedSpace space(request.outputs[0].shape, strides_of(request));
  auto code = cpu::codegen::ClusterKernel::make(translator.take(), space, {}, reason);
  if (!code) return nullptr;
  return std::make_unique<CodeKernel>(std::move(space), std::move(code));
}

std::unique_ptr<Kernel> prepare_fused(const KernelRequest& request, std::string& reason) {
  if (request.inputs.size() > FusedKernel::kMostOperands ||
      request.outputs.size() > FusedKernel::kMostOperands) {
    reason = "too many operands";
    return nullptr;
  }
  Translator translator(*request.params.as<FusedElementwiseParams>().body);
  if (!translator.run(reason)) return nullptr;
  return std::make_unique<FusedKernel>(translator.take(), request);
}

}  // namespace

void register_fused_elementwise(KernelTable& table) {
  table.add(fused_elementwise_primitive(), {.name = "machine code",
                                            .strided = true,
                                            .in_place = true,
                                            .prepare = prepare_code,
                                            .never_throws = true});
  table.add(fused_elementwise_primitive(), {.name = "tiles",
                                            .strided = true,
                                            .in_place = true,
                                            .prepare = prepare_fused,
                                            .never_throws = true});
}

}  // namespace linnet
