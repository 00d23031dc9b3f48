// Private: the functions of i32, u32 and bool as instructions.
#pragma once

#include "kernels/cpu/codegen/vector_program.h"
#include "kernels/cpu/interpreter/tile_program.h"

namespace linnet::cpu::codegen {

/// `x` are nodes. The result is a mask where the function returns bool.
/// @throws NotRecordable
int expand_word_function(VectorProgram& program, ScalarOp op, bool is_signed, const int* x);
int expand_mask_function(VectorProgram& program, ScalarOp op, const int* x);

}  // namespace linnet::cpu::codegen
