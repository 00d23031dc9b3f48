#include "kernels/cpu/register/cluster_program.h"

#include <array>
#include <cstring>
#include <vector>

#include "core/ops/convert.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "kernels/cpu/register/scalar_params.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
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

}  // namespace

std::optional<cpu::TileProgram> tile_program_of(const Graph& body, std::string& reason) {
  Translator translator(body);
  if (!translator.run(reason)) return std::nullopt;
  return translator.take();
}

ClusterTiles::ClusterTiles(cpu::TileProgram program, cpu::StridedSpace space)
    : program_(std::move(program)),
      space_(std::move(space)),
      small_(cpu::SmallTileProgram::make(program_, space_)) {}

size_t ClusterTiles::workspace_bytes() const {
  return small_ ? 0 : program_.workspace_bytes(space_.element_count());
}

void ClusterTiles::run(const void* const* inputs, void* const* outputs, void* workspace) const {
  if (small_) return small_->run(inputs, outputs);
  std::array<cpu::Operand, kMostOperands> in;
  std::array<cpu::Destination, kMostOperands> out;
  const size_t in_count = program().inputs.size(), out_count = program().outputs.size();
  for (size_t i = 0; i < in_count; ++i) in[i] = {inputs[i], nullptr};
  for (size_t k = 0; k < out_count; ++k) out[k] = {outputs[k], nullptr};
  program_.run(space_, {in.data(), in_count}, {out.data(), out_count}, workspace);
}

/// The second run makes the code; those that other threads begin meanwhile are interpreted.
const ClusterCode::Kernel* ClusterCode::count_run(const ClusterTiles& tiles,
                                                  const Kernel::Options& options) const {
  if (runs_.fetch_add(1, std::memory_order_relaxed) != 1) return nullptr;
  try {
    std::string reason;
    const Kernel* const code =
        Kernel::make(tiles.program(), tiles.space(), options, reason).release();
    code_.store(code, std::memory_order_release);
    if (log_enabled("kernels")) {
      log_line("kernels", fmt::format("a cluster of {} operations {}", tiles.program().code.size(),
                                      code ? "has machine code from its second run on"
                                           : "stays with the interpreter: " + reason));
    }
    return code;
  } catch (...) {
    // No memory, or the receiver of the log: no reason to fail.
    return code_.load(std::memory_order_relaxed);
  }
}

bool needs_code_at_once(const cpu::TileProgram& program, const cpu::StridedSpace& space) {
  // Measured: 0.05 ns an element and unit of cost, and 100 us.
  constexpr int64_t kWork = int64_t{1} << 21;
  return space.element_count() * cpu::codegen::ClusterKernel::cost_of(program) >= kWork;
}

}  // namespace linnet
