#include "kernels/cpu/interpreter/small_program.h"

#include <algorithm>
#include <cstring>

namespace linnet::cpu {

std::optional<SmallTileProgram> SmallTileProgram::make(const CompiledTileProgram& compiled,
                                                       const StridedSpace& space) {
  constexpr int64_t kMostElements = 256;
  const TileProgram& program = compiled.program();
  SmallTileProgram out;
  out.count_ = space.element_count();
  if (out.count_ == 0 || out.count_ > kMostElements) return std::nullopt;
  for (const DType dtype : program.registers) {
    if (is_floating(dtype) && size_of(dtype) == 2) return std::nullopt;
  }
  const auto arrays = program.inputs.size() + program.outputs.size();
  for (size_t i = 0; i < arrays; ++i) {
    const bool operand = i < program.inputs.size();
    if (!space.is_dense(i) && !(operand && space.is_scalar(i))) return std::nullopt;
  }

  // A result may be an operand that another result lies on, so what is stored as it is is read
  // before anything is written.
  std::vector<Value> values(program.registers.size(), Value{Value::Kind::kBuffer, false, 0});
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    if (std::find(program.outputs.begin(), program.outputs.end(), program.inputs[i]) !=
        program.outputs.end())
      return std::nullopt;
    values[program.inputs[i]] = {Value::Kind::kOperand, space.is_scalar(i),
                                 static_cast<uint32_t>(i)};
  }
  const ElementwiseTable& table = elementwise_table();
  for (const TileProgram::Immediate& immediate : program.immediates) {
    const DType held = program.registers[immediate.reg];
    values[immediate.reg] = {Value::Kind::kNumber, true,
                             static_cast<uint32_t>(out.numbers_.size())};
    out.numbers_.resize(out.numbers_.size() + 8);
    LoopCall call;
    call.in[0] = is_floating(held) ? static_cast<const void*>(&immediate.real) : &immediate.integer;
    call.out = out.numbers_.data() + values[immediate.reg].at;
    call.count = 1;
    table.get_cast(is_floating(held) ? DType::kF64 : DType::kI64, held)(call);
  }
  size_t used = 0;
  for (const TileInstruction& instruction : program.code) {
    const DType held = program.registers[instruction.dst];
    Step step{};
    step.arity = instruction.is_cast ? uint8_t{1}
                                     : static_cast<uint8_t>(scalar_op_info(instruction.op).arity);
    step.kernel = instruction.is_cast ? table.get_cast(program.registers[instruction.src[0]], held)
                                      : table.get(instruction.op, instruction.dtype);
    for (int k = 0; k < step.arity; ++k) step.src[k] = values[instruction.src[k]];
    step.params[0] = instruction.params[0];
    step.dst = static_cast<uint32_t>(used);
    values[instruction.dst].at = step.dst;
    used += (static_cast<size_t>(out.count_) * size_of(held) + 63) / 64 * 64;
    out.steps_.push_back(step);
  }
  if (used > kBuffer) return std::nullopt;
  for (const uint16_t reg : program.outputs) {
    const DType held = program.registers[reg];
    const bool repeat = values[reg].repeat;
    out.results_.push_back(
        {values[reg], table.get_cast(held, held),
         repeat ? 0 : static_cast<uint32_t>(static_cast<size_t>(out.count_) * size_of(held))});
  }
  return out;
}

void SmallTileProgram::run(const void* const* in, void* const* out) const {
  alignas(64) char buffer[kBuffer];
  LoopCall call;
  call.count = count_;
  for (const Step& step : steps_) {
    for (int k = 0; k < step.arity; ++k) {
      call.in[k] = address(step.src[k], in, buffer);
      call.repeat[k] = step.src[k].repeat;
    }
    call.out = buffer + step.dst;
    call.params = step.params;
    step.kernel(call);
  }
  for (size_t j = 0; j < results_.size(); ++j) {
    const Result& result = results_[j];
    const char* const from = address(result.from, in, buffer);
    if (result.bytes) {
      std::memcpy(out[j], from, result.bytes);
      continue;
    }
    call.in[0] = from;
    call.repeat[0] = true;
    call.out = out[j];
    result.copy(call);
  }
}

}  // namespace linnet::cpu
