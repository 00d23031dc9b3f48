// Private: how long oneDNN can compute. Its products generate code at their first use and keep it
// in static objects, of one set for each type of operands. At the end of the process these go
// before older static objects, whose destructors may still compute: then our own kernels do.
#pragma once

namespace linnet::cpu::onednn {

/// To be told of every first run of a kernel; `type` is that of its first operand.
void watch_process_end(int type);

/// Whether the process ends and the library must not be called again.
bool process_ends();

}  // namespace linnet::cpu::onednn
