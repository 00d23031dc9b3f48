// Which vector instructions the CPU kernels use.
//
//   set_instruction_set(InstructionSet::kAvx2);   // or LINNET_INSTRUCTION_SET=avx2 in the
//   environment
//
// The last bits of sums depend on the width of vectors. With a set that all machines of a group
// have, each of them gives the same bits in our own kernels; what libraries compute is limited to
// the same set.
#pragma once

#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)

namespace linnet {

/// The sets that kernels are compiled for, in ascending order. The baseline is what every processor
/// of the architecture has; other architectures than x86 have no other.
enum class InstructionSet : uint8_t { kBaseline, kAvx2, kAvx512 };

/// `baseline`, `avx2`, `avx512`: what LINNET_INSTRUCTION_SET takes.
std::string_view name_of(InstructionSet set);

/// Makes all kernels use this set and no wider one. Call it before the first operation.
/// @throws ValueError if the processor lacks it, or if kernels have run with another one.
void set_instruction_set(InstructionSet set);

/// The set in use: as asked for, or the widest that the processor has.
/// @throws ValueError if LINNET_INSTRUCTION_SET is no name of a set or of one that the processor
/// lacks.
InstructionSet instruction_set();

}  // namespace linnet

#pragma GCC visibility pop
