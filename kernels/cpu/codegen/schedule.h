// Private: in which order the nodes of a program are emitted, and which constants and values of a
// row stay in registers.
#pragma once

#include <vector>

#include "kernels/cpu/codegen/vector_program.h"

namespace linnet::cpu::codegen {

/// One step of a body: a node of one copy, or the store of an output.
struct Item {
  int node;         ///< -1 for a store
  int output = -1;  ///< which one
  int copy = 0;
};

/// The nodes that differ from element to element, `copies` vectors of them: instruction by
/// instruction in turns, or one copy after the other. The stores of a copy come after all its
/// loads, since a result may be an operand's memory.
std::vector<Item> schedule_body(const VectorProgram& program, int copies, bool interleaved);
/// The nodes that are the same for all elements, without constants.
std::vector<Item> schedule_invariants(const VectorProgram& program);

/// Most values of a body that are held at the same time, masks apart if they have registers of
/// their own.
int most_live(const VectorProgram& program, const std::vector<Item>& body, bool masks_apart);

/// How many instructions of the body read each invariant node; a reader that must have it in a
/// register counts more.
std::vector<int> invariant_uses(const VectorProgram& program);

}  // namespace linnet::cpu::codegen
