// Chains of elementwise functions run tile by tile, so that what passes between them stays in the
// first-level cache instead of going through memory.
//
//   TileProgram p;                                   // y = tanh(a * b) + 1
//   const uint16_t a = p.add_input(DType::kF32), b = p.add_input(DType::kF32);
//   const uint16_t one = p.add_immediate(DType::kF32, 1.0);
//   const uint16_t product = p.apply(ScalarOp::kMul, DType::kF32, {a, b});
//   const uint16_t t = p.apply(ScalarOp::kTanh, DType::kF32, {product});
//   p.add_output(p.apply(ScalarOp::kAdd, DType::kF32, {t, one}));
//   CompiledTileProgram fused(p);
//   fused.run(shape, operands, destinations);
//
// The results are those of elementwise() and cast() called one after another, bit for bit (the bits
// of NaNs aside): 16-bit floats are kept as f32 between instructions, but rounded after each.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/ops/scalar_functions.h"
#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/cpu/elementwise/strided.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

/// One function applied to whole registers.
struct TileInstruction {
  /// A conversion of src[0] to `dtype`; `op` and `params` mean nothing then.
  bool is_cast = false;
  ScalarOp op = ScalarOp::kAdd;
  /// Type of the value operands, as in elementwise(), or the type converted to.
  DType dtype = DType::kF32;
  uint16_t dst = 0;
  uint16_t src[3] = {};
  double params[1] = {};
};

/// Whether the result is a 16-bit number if the operands are, so that nothing is to be rounded.
bool keeps_precision(ScalarOp op);

/// A straight-line program. Every register has one type and is set exactly once: by an operand, by
/// a number, or by one instruction, before it is read.
struct TileProgram {
  struct Immediate {
    uint16_t reg;
    /// The number for float registers, and for integers and bool.
    double real;
    int64_t integer;
  };

  std::vector<DType> registers;
  /// Register that operand i of run() is loaded into.
  std::vector<uint16_t> inputs;
  std::vector<Immediate> immediates;
  std::vector<TileInstruction> code;
  /// Register that is stored to destination i of run().
  std::vector<uint16_t> outputs;

  uint16_t add_register(DType dtype);
  uint16_t add_input(DType dtype);
  /// `value` is within the range of `dtype`, if that is one of integers.
  uint16_t add_immediate(DType dtype, double value);
  uint16_t add_immediate(DType dtype, int64_t value);
  /// Appends an instruction and returns its result register.
  /// @throws ValueError if the number of operands is wrong.
  uint16_t apply(ScalarOp op, DType dtype, std::initializer_list<uint16_t> operands,
                 double param = 0);
  uint16_t convert(uint16_t from, DType to);
  void add_output(uint16_t reg) { outputs.push_back(reg); }
};

/// A checked program with its registers assigned to tiles. Immutable: any number of threads may run
/// it at the same time.
class CompiledTileProgram {
 public:
  /// @throws ValueError if a register is unknown, read before it is set, or set twice.
  /// @throws DTypeError if an instruction does not take its type, or an operand has another.
  explicit CompiledTileProgram(TileProgram program);

  /// Runs the program for every element of `space`, whose arrays are the operands and then the
  /// destinations, which may be operands' memory exactly. It allocates nothing.
  /// @param workspace of `workspace_bytes(space.element_count())`, aligned to 64.
  void run(const StridedSpace& space, std::span<const Operand> in, std::span<const Destination> out,
           void* workspace) const;
  size_t workspace_bytes(int64_t element_count) const;
  /// The same for every element of `shape`, in memory of its own.
  /// @throws ValueError if the number of operands or destinations is wrong.
  void run(std::span<const int64_t> shape, std::span<const Operand> in,
           std::span<const Destination> out) const;

  const TileProgram& program() const { return program_; }
  /// Elements per tile, and bytes of tiles held at a time.
  int64_t tile_size() const { return tile_size_; }
  int64_t scratch_bytes() const { return slot_count_ * slot_bytes_; }

 private:
  class Execution;

  /// A kernel call: registers to read, the slot to write, and what follows.
  struct Step {
    ElementwiseLoop kernel;
    uint16_t dst;
    uint16_t src[3];
    uint8_t arity;
    /// Rounds the result to 16 bits; or, after a conversion to a 16-bit type, widens it.
    ElementwiseLoop finish = nullptr;
    bool widens = false;
    double params[1];
  };

  void check() const;
  void check_instruction(const TileInstruction& instruction) const;
  Step make_step(const TileInstruction& instruction) const;
  void assign_slots();

  TileProgram program_;
  std::vector<Step> steps_;
  /// Slot of each register, -1 for those that need none.
  std::vector<int> slots_;
  std::vector<bool> is_input_;
  int64_t slot_count_ = 0;
  int64_t widest_ = 0;  ///< bytes of an element
  int64_t slot_bytes_ = 0;
  int64_t tile_size_ = 0;
  int64_t grain_ = 0;
};

}  // namespace linnet::cpu
