// Whether fused clusters of elementwise operations are compiled to machine code.
//
//   std::puts(linnet::machine_code_report().c_str());   // "avx512", or why they are interpreted
//   linnet::set_machine_code(false);                    // or LINNET_MACHINE_CODE=off
//
// The interpreter gives the same bits; it takes two to three times as long.
#pragma once

#include <string>

#pragma GCC visibility push(default)

namespace linnet {

/// The instruction set that is compiled for, or the reason why nothing is.
/// @throws ValueError as `instruction_set()` does.
std::string machine_code_report();

/// Switches compilation off or on for programs that are made from now on.
void set_machine_code(bool enabled);

}  // namespace linnet

#pragma GCC visibility pop
