// What this build of Linnet was made of, and what it finds on this machine.
//
//   std::puts(linnet::build_report().c_str());   // as `linnet doctor` does
#pragma once

#include <string>

#pragma GCC visibility push(default)

namespace linnet {

/// `0.1.0`.
std::string version();

/// Lines of text: versions of Linnet, its compiler and its libraries; threads, and what limits
/// them; the instruction set, and what limits it; whether clusters become machine code, or why not;
/// the variables of the environment that change how Linnet runs.
/// @throws ValueError as `instruction_set()` does.
std::string build_report();

}  // namespace linnet

#pragma GCC visibility pop
