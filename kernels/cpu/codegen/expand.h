// Private: from a tile program, which applies whole functions, to a program on vectors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/cpu/codegen/vector_program.h"
#include "kernels/cpu/interpreter/tile_program.h"

namespace linnet::cpu::codegen {

/// What the instructions of a machine differ in.
struct Machine {
  bool is_avx512 = true;

  /// Of 32-bit elements in a vector.
  int lanes() const { return is_avx512 ? 16 : 8; }
};

/// Every value is held in 32-bit lanes: 16-bit floats as f32, rounded after each function as the
/// interpreter does, bool as a mask.
/// @param is_repeated for each operand, whether it is one element for all.
/// @return nothing, and the reason, if something has no instructions.
std::optional<VectorProgram> expand(const TileProgram& program,
                                    const std::vector<bool>& is_repeated, const Machine& machine,
                                    std::string& reason);

/// Whether `expand` has instructions for all of a program. Remembers the answer for each function
/// and type, so that asking costs next to nothing.
bool can_expand(const TileProgram& program, const Machine& machine);

}  // namespace linnet::cpu::codegen
