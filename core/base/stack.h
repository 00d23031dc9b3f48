// Private: how much of the calling thread's stack is left, for walks over what users have nested.
#pragma once

namespace linnet {

/// Whether less than a quarter of a mebibyte of the stack is left, below which an error can still
/// be made and thrown. False on a stack that is not the thread's own.
bool stack_nearly_full() noexcept;

}  // namespace linnet
