// Private: a bound on how deep walks over trees go. Their depth is that of what users nest.
#pragma once

namespace linnet::tree {

/// For each node that a walk enters.
/// @throws TreeError if the stack of this thread is nearly full.
void require_room_for_nesting();

}  // namespace linnet::tree
