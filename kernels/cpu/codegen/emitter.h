// Private: machine code for a program on vectors.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/cpu/codegen/expand.h"
#include "kernels/cpu/codegen/vector_program.h"

namespace linnet::cpu::codegen {

/// What emitted code is called with: arguments[0] is the number of elements, then come the
/// addresses of operands and results. Operands and results are dense, or for operands one element
/// for all. With AVX2 the number of elements is a multiple of the lanes.
using EmittedFunction = void (*)(const int64_t* arguments);

struct EmitOptions {
  Machine machine;
  /// Results of 32 bits an element are written past the caches. Their addresses are then multiples
  /// of a cache line, and the caller flushes.
  bool streams = false;
  /// Fewer registers than there are, so that tests reach what happens without any left; 0: all.
  int vector_registers = 0;
};

/// Whether this build has an assembler.
bool can_emit();
/// Code that can be copied anywhere. Nothing if the program is too long.
std::optional<std::vector<unsigned char>> emit(const VectorProgram& program,
                                               const EmitOptions& options);

}  // namespace linnet::cpu::codegen
