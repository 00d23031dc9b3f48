#include "kernels/cpu/interpreter/tile_program.h"

#include <algorithm>
#include <bit>
#include <string>

#include "linnet/error.h"

namespace linnet::cpu {
namespace {

/// Bytes of registers that should fit into the first-level cache next to the operands.
constexpr int64_t kCacheBudget = 24 * 1024;

bool is_half(DType dtype) { return is_floating(dtype) && size_of(dtype) == 2; }

/// Bytes of an element in a register: 16-bit floats are held as f32.
int64_t width_in_register(DType dtype) {
  return is_half(dtype) ? 4 : static_cast<int64_t>(size_of(dtype));
}

[[noreturn]] void fail(const std::string& message) { throw ValueError("tile program: " + message); }

}  // namespace

bool keeps_precision(ScalarOp op) {
  switch (op) {
    case ScalarOp::kNeg:
    case ScalarOp::kAbs:
    case ScalarOp::kSign:
    case ScalarOp::kMax:
    case ScalarOp::kMin:
    case ScalarOp::kClamp:
    case ScalarOp::kSelect:
    case ScalarOp::kRelu:
    case ScalarOp::kRelu6:
    case ScalarOp::kReluGrad:
    case ScalarOp::kNextafter:
      return true;
    default:
      return false;
  }
}

uint16_t TileProgram::add_register(DType dtype) {
  registers.push_back(dtype);
  return static_cast<uint16_t>(registers.size() - 1);
}

uint16_t TileProgram::add_input(DType dtype) {
  inputs.push_back(add_register(dtype));
  return inputs.back();
}

uint16_t TileProgram::add_immediate(DType dtype, double value) {
  const uint16_t reg = add_register(dtype);
  immediates.push_back({reg, value, is_floating(dtype) ? 0 : static_cast<int64_t>(value)});
  return reg;
}

uint16_t TileProgram::add_immediate(DType dtype, int64_t value) {
  const uint16_t reg = add_register(dtype);
  immediates.push_back({reg, static_cast<double>(value), value});
  return reg;
}

uint16_t TileProgram::apply(ScalarOp op, DType dtype, std::initializer_list<uint16_t> operands,
                            double param) {
  const ScalarOpInfo& info = scalar_op_info(op);
  if (operands.size() != static_cast<size_t>(info.arity)) {
    fail(std::string(info.name) + ": expected " + std::to_string(info.arity) + " operands, got " +
         std::to_string(operands.size()));
  }
  TileInstruction instruction;
  instruction.op = op;
  instruction.dtype = dtype;
  instruction.dst = add_register(returns_bool(op) ? DType::kBool : dtype);
  std::copy(operands.begin(), operands.end(), instruction.src);
  instruction.params[0] = param;
  code.push_back(instruction);
  return instruction.dst;
}

uint16_t TileProgram::convert(uint16_t from, DType to) {
  TileInstruction instruction;
  instruction.is_cast = true;
  instruction.dtype = to;
  instruction.dst = add_register(to);
  instruction.src[0] = from;
  code.push_back(instruction);
  return instruction.dst;
}

CompiledTileProgram::CompiledTileProgram(TileProgram program) : program_(std::move(program)) {
  check();
  int64_t cost = 0;
  for (const TileInstruction& instruction : program_.code) {
    steps_.push_back(make_step(instruction));
    cost += instruction.is_cast ? 1 : scalar_op_info(instruction.op).cost;
  }
  assign_slots();
  widest_ = 4;
  for (const DType dtype : program_.registers)
    widest_ = std::max(widest_, width_in_register(dtype));
  const int64_t budget = kCacheBudget / (std::max<int64_t>(slot_count_, 1) * widest_);
  tile_size_ = std::clamp<int64_t>(
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(budget))), 256, 2048);
  slot_bytes_ = tile_size_ * widest_;
  grain_ = std::max<int64_t>(tile_size_, (1 << 16) / std::max<int64_t>(cost, 1));
}

void CompiledTileProgram::check_instruction(const TileInstruction& instruction) const {
  const std::vector<DType>& types = program_.registers;
  if (instruction.is_cast) {
    if (types[instruction.dst] != instruction.dtype)
      fail("a conversion has a result of another type");
    return;
  }
  const ScalarOpInfo& info = scalar_op_info(instruction.op);
  const std::string name(info.name);
  if (!supports(instruction.op, instruction.dtype)) {
    throw DTypeError("tile program: " + name + ": element type " +
                     std::string(name_of(instruction.dtype)) + " is not accepted");
  }
  for (int k = 0; k < info.arity; ++k) {
    const bool is_condition = info.kind == ScalarKind::kSelect && k == 0;
    const DType expected = is_condition ? DType::kBool : instruction.dtype;
    const DType got = types[instruction.src[k]];
    if (got != expected) {
      throw DTypeError("tile program: " + name + ": operand " + std::to_string(k) + ": expected " +
                       std::string(name_of(expected)) + ", got " + std::string(name_of(got)));
    }
  }
  if (types[instruction.dst] != (returns_bool(instruction.op) ? DType::kBool : instruction.dtype)) {
    throw DTypeError("tile program: " + name + ": the result register has another type");
  }
}

void CompiledTileProgram::check() const {
  std::vector<bool> is_set(program_.registers.size(), false);
  const auto set = [&](uint16_t reg) {
    if (reg >= is_set.size()) fail("register " + std::to_string(reg) + " does not exist");
    if (is_set[reg]) fail("register " + std::to_string(reg) + " is set twice");
    is_set[reg] = true;
  };
  const auto read = [&](uint16_t reg) {
    if (reg >= is_set.size() || !is_set[reg]) {
      fail("register " + std::to_string(reg) + " is read before it is set");
    }
  };
  for (const uint16_t reg : program_.inputs) set(reg);
  for (const TileProgram::Immediate& immediate : program_.immediates) set(immediate.reg);
  for (const TileInstruction& instruction : program_.code) {
    const int arity = instruction.is_cast ? 1 : scalar_op_info(instruction.op).arity;
    for (int k = 0; k < arity; ++k) read(instruction.src[k]);
    set(instruction.dst);
    check_instruction(instruction);
  }
  for (const uint16_t reg : program_.outputs) read(reg);
}

CompiledTileProgram::Step CompiledTileProgram::make_step(const TileInstruction& instruction) const {
  const ElementwiseTable& table = elementwise_table();
  Step step{};
  step.dst = instruction.dst;
  std::copy(std::begin(instruction.src), std::end(instruction.src), step.src);
  const DType to = instruction.dtype;
  if (instruction.is_cast) {
    const DType held = program_.registers[instruction.src[0]];
    const DType from = is_half(held) ? DType::kF32 : held;
    step.arity = 1;
    if (is_half(to) && from == DType::kF32) {
      step.kernel = table.round[static_cast<int>(to)];
    } else {
      step.kernel = table.get_cast(from, to);
      step.widens = is_half(to);
      if (step.widens) step.finish = table.get_cast(to, DType::kF32);
    }
    return step;
  }
  const ScalarOpInfo& info = scalar_op_info(instruction.op);
  step.arity = static_cast<uint8_t>(info.arity);
  step.params[0] = instruction.params[0];
  step.kernel = table.get(instruction.op, to);
  if (is_half(to)) {
    if (instruction.op == ScalarOp::kSelect) step.kernel = table.select_f32;
    const bool rounds = !returns_bool(instruction.op) && !keeps_precision(instruction.op);
    if (rounds) step.finish = table.round[static_cast<int>(to)];
  }
  return step;
}

/// Linear scan: a slot is free again after the last instruction that reads its register. A result
/// may take over the slot of an operand of the same width. Outputs live to the end of the tile.
void CompiledTileProgram::assign_slots() {
  const size_t count = program_.registers.size();
  const size_t end = steps_.size();
  std::vector<size_t> last_use(count, 0);
  for (size_t i = 0; i < steps_.size(); ++i) {
    for (int k = 0; k < steps_[i].arity; ++k) last_use[steps_[i].src[k]] = i;
    last_use[steps_[i].dst] = std::max(last_use[steps_[i].dst], i);
  }
  for (const uint16_t reg : program_.outputs) last_use[reg] = end;
  slots_.assign(count, -1);
  is_input_.assign(count, false);
  std::vector<int> free;
  const auto take = [&] {
    if (free.empty()) return static_cast<int>(slot_count_++);
    const int slot = free.back();
    free.pop_back();
    return slot;
  };
  // Operands are loaded just before their first reader.
  for (const uint16_t reg : program_.inputs) is_input_[reg] = true;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    for (int k = 0; k < step.arity; ++k) {
      if (is_input_[step.src[k]] && slots_[step.src[k]] < 0) slots_[step.src[k]] = take();
    }
    const auto release_operands = [&](bool same_width) {
      for (int k = 0; k < step.arity; ++k) {
        const uint16_t reg = step.src[k];
        const bool repeated = std::find(step.src, step.src + k, reg) != step.src + k;
        const bool matches = (width_in_register(program_.registers[reg]) ==
                              width_in_register(program_.registers[step.dst])) == same_width;
        if (slots_[reg] >= 0 && last_use[reg] == i && !repeated && matches)
          free.push_back(slots_[reg]);
      }
    };
    // A conversion that widens afterwards passes through a shorter format in the same slot.
    if (!step.widens) release_operands(true);
    slots_[step.dst] = take();
    if (step.widens) release_operands(true);
    release_operands(false);
    if (last_use[step.dst] == i) free.push_back(slots_[step.dst]);
  }
  for (const uint16_t reg : program_.inputs) {
    if (slots_[reg] < 0 && last_use[reg] == end) slots_[reg] = take();
  }
  // One more for conversions through 16 bits.
  ++slot_count_;
}

}  // namespace linnet::cpu
