#include "kernels/cpu/codegen/expand.h"

#include <atomic>
#include <cstring>
#include <limits>

#include "kernels/cpu/codegen/expand_integers.h"
#include "kernels/cpu/codegen/recorded.h"

namespace linnet::cpu::codegen {
namespace {

using recorded::Flag;
using recorded::Recorded;
using Float = Recorded<float>;
using Word = Recorded<uint32_t>;

bool is_half(DType dtype) { return is_floating(dtype) && size_of(dtype) == 2; }
bool is_word(DType dtype) { return dtype == DType::kI32 || dtype == DType::kU32; }
/// Whether it is held in lanes of 32 bits or a mask.
bool is_held(DType dtype) {
  return dtype == DType::kF32 || is_half(dtype) || is_word(dtype) || dtype == DType::kBool;
}

/// Calls the text of one function on recorded floats.
template <ScalarKind kind, int arity, int params, class F>
int call_text(F function, const int* x, double param) {
  if constexpr (kind == ScalarKind::kBits || kind == ScalarKind::kInteger) {
    throw NotRecordable{};
  } else if constexpr (kind == ScalarKind::kSelect) {
    return function(Flag{x[0]}, Float::of(x[1]), Float::of(x[2])).id;
  } else if constexpr (arity == 1 && params == 0) {
    return function(Float::of(x[0])).id;
  } else if constexpr (arity == 1) {
    return function(Float::of(x[0]), param).id;
  } else if constexpr (arity == 2) {
    return function(Float::of(x[0]), Float::of(x[1])).id;
  } else {
    return function(Float::of(x[0]), Float::of(x[1]), Float::of(x[2])).id;
  }
}

int expand_float_function(ScalarOp op, const int* x, double param) {
  switch (op) {
#define LINNET_CASE(id, name, function, arity, params, kind, cost)     \
  case ScalarOp::id:                                                   \
    return call_text<ScalarKind::kind, arity, params>(                 \
        []<class... V>(V... v) -> decltype(recorded::function(v...)) { \
          return recorded::function(v...);                             \
        },                                                             \
        x, param);
    LINNET_SCALAR_FUNCTIONS(LINNET_CASE)
#undef LINNET_CASE
  }
  throw NotRecordable{};
}

class Expander {
 public:
  Expander(const TileProgram& program, const Machine& machine)
      : tiles_(program), machine_(machine), nodes_(program.registers.size(), -1) {}

  VectorProgram run(const std::vector<bool>& is_repeated) {
    Recording recording(out_, machine_.is_avx512);
    for (const DType dtype : tiles_.registers) {
      if (!is_held(dtype)) throw NotRecordable{};
    }
    for (size_t i = 0; i < tiles_.inputs.size(); ++i)
      node_of(tiles_.inputs[i]) = out_.input(dtype(tiles_.inputs[i]), is_repeated[i]);
    for (const TileProgram::Immediate& immediate : tiles_.immediates)
      node_of(immediate.reg) = expand_immediate(immediate);
    for (const TileInstruction& instruction : tiles_.code)
      node_of(instruction.dst) =
          instruction.is_cast ? expand_cast(instruction) : expand(instruction);
    for (const uint16_t reg : tiles_.outputs) out_.output(dtype(reg), node_of(reg));
    return out_.pruned();
  }

 private:
  DType dtype(uint16_t reg) const { return tiles_.registers[reg]; }
  int& node_of(uint16_t reg) { return nodes_[reg]; }

  int expand_immediate(const TileProgram::Immediate& immediate) {
    const DType held = dtype(immediate.reg);
    const ElementwiseTable& table = elementwise_table();
    alignas(8) char element[8] = {};
    alignas(8) char word[8] = {};
    LoopCall call;
    call.count = 1;
    call.in[0] = is_floating(held) ? static_cast<const void*>(&immediate.real) : &immediate.integer;
    call.out = element;
    table.get_cast(is_floating(held) ? DType::kF64 : DType::kI64, held)(call);
    call.in[0] = element;
    call.out = word;
    table.get_cast(held, is_half(held) ? DType::kF32 : held)(call);
    uint32_t bits;
    std::memcpy(&bits, word, sizeof bits);
    if (held != DType::kBool) return out_.constant(bits);
    return (Word(bits) != Word(0)).id;
  }

  int expand(const TileInstruction& instruction) {
    int x[3] = {};
    for (int k = 0; k < scalar_op_info(instruction.op).arity; ++k)
      x[k] = node_of(instruction.src[k]);
    const DType type = instruction.dtype;
    if (type == DType::kBool) return expand_mask_function(out_, instruction.op, x);
    if (is_word(type)) return expand_word_function(out_, instruction.op, type == DType::kI32, x);
    if (is_half(type) && instruction.op == ScalarOp::kNextafter) throw NotRecordable{};
    const int y = expand_float_function(instruction.op, x, instruction.params[0]);
    if (!is_half(type) || returns_bool(instruction.op) || keeps_precision(instruction.op)) return y;
    return round_to(type, y);
  }

  /// The nearest number of a 16-bit format, as f32.
  int round_to(DType half, int x) {
    if (half == DType::kF16) return out_.append({.op = VectorOp::kRoundToHalf, .src = {x, -1, -1}});
    const Word word = Word::of(x), high(0xFFFF0000u);
    const Word odd = (word >> 16) & Word(1u);
    const Word rounded = (word + (odd + Word(0x7FFFu))) & high;
    const Word quiet = (word | Word(0x00400000u)) & high;
    return select(Float::of(x) != Float::of(x), quiet, rounded).id;
  }

  int expand_cast(const TileInstruction& instruction) {
    const DType from = dtype(instruction.src[0]), to = instruction.dtype;
    const int x = node_of(instruction.src[0]);
    if (from == to) return x;
    if (to == DType::kBool) {
      return is_floating(from) ? (Float::of(x) != Float(0)).id : (Word::of(x) != Word(0)).id;
    }
    if (from == DType::kBool) {
      const uint32_t one = is_floating(to) ? std::bit_cast<uint32_t>(1.0f) : 1u;
      return select(Flag{x}, Word(one), Word(0u)).id;
    }
    if (is_word(to)) return is_word(from) ? x : to_word(Float::of(x), to == DType::kI32);
    if (is_floating(from)) return to == DType::kF32 ? x : round_to(to, x);
    // Integers are rounded once to 16 bits, which needs more than f32 in between.
    if (to != DType::kF32) throw NotRecordable{};
    return convert(from == DType::kI32 ? VectorOp::kFromInteger : VectorOp::kFromUnsigned, x);
  }

  int convert(VectorOp op, int x) {
    const bool is_unsigned = op == VectorOp::kFromUnsigned || op == VectorOp::kToUnsigned;
    if (is_unsigned && !machine_.is_avx512) throw NotRecordable{};
    return out_.append({.op = op, .src = {x, -1, -1}});
  }

  /// Saturates; NaN becomes zero.
  int to_word(Float x, bool is_signed) {
    if (!is_signed)
      return select(x > Float(0), Word::of(convert(VectorOp::kToUnsigned, x.id)), Word(0u)).id;
    constexpr float kLimit = 0x1p31f;
    const Word inside = Word::of(convert(VectorOp::kToInteger, x.id));
    const Word most = Word(static_cast<uint32_t>(std::numeric_limits<int32_t>::max()));
    return select(x != x, Word(0u), select(x >= Float(kLimit), most, inside)).id;
  }

  const TileProgram& tiles_;
  const Machine machine_;
  VectorProgram out_;
  std::vector<int> nodes_;
};

/// One instruction of a program as a program of its own.
TileProgram alone(const TileProgram& program, const TileInstruction& instruction) {
  TileProgram out;
  TileInstruction copy = instruction;
  const int arity = instruction.is_cast ? 1 : scalar_op_info(instruction.op).arity;
  for (int k = 0; k < arity; ++k)
    copy.src[k] = out.add_input(program.registers[instruction.src[k]]);
  copy.dst = out.add_register(program.registers[instruction.dst]);
  out.code.push_back(copy);
  out.add_output(copy.dst);
  return out;
}

/// Whether one instruction can be expanded: 0 is not known yet, 1 yes, 2 no.
std::atomic<uint8_t>& known_answer(const TileProgram& program, const TileInstruction& instruction,
                                   const Machine& machine) {
  static std::atomic<uint8_t> functions[2][kScalarOpCount][kRealDTypeCount];
  static std::atomic<uint8_t> casts[2][kRealDTypeCount][kRealDTypeCount];
  const int m = machine.is_avx512 ? 1 : 0;
  if (!instruction.is_cast)
    return functions[m][static_cast<int>(instruction.op)][static_cast<int>(instruction.dtype)];
  const DType from = program.registers[instruction.src[0]];
  return casts[m][static_cast<int>(from)][static_cast<int>(instruction.dtype)];
}

}  // namespace

bool can_expand(const TileProgram& program, const Machine& machine) {
  for (const DType dtype : program.registers) {
    if (!is_held(dtype)) return false;
  }
  for (const TileInstruction& instruction : program.code) {
    std::atomic<uint8_t>& known = known_answer(program, instruction, machine);
    uint8_t answer = known.load(std::memory_order_relaxed);
    if (answer == 0) {
      const TileProgram one = alone(program, instruction);
      std::string reason;
      answer = expand(one, std::vector<bool>(one.inputs.size(), false), machine, reason) ? 1 : 2;
      known.store(answer, std::memory_order_relaxed);
    }
    if (answer == 2) return false;
  }
  return true;
}

std::optional<VectorProgram> expand(const TileProgram& program,
                                    const std::vector<bool>& is_repeated, const Machine& machine,
                                    std::string& reason) {
  try {
    return Expander(program, machine).run(is_repeated);
  } catch (const NotRecordable&) {
    reason = "an operation or a type has no instructions";
    return std::nullopt;
  }
}

}  // namespace linnet::cpu::codegen
