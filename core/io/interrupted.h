// System calls that a signal interrupted are tried again. Private.
#pragma once

#include <cerrno>

namespace linnet {

/// Calls until the result is not EINTR. A signal may interrupt a call now and then; one that is
/// interrupted this often is broken.
template <class Call>
auto retry_interrupted(Call&& call) {
  constexpr int kInterruptedLimit = 100;
  auto result = call();
  for (int i = 0; result < 0 && errno == EINTR && i < kInterruptedLimit; ++i) result = call();
  return result;
}

}  // namespace linnet
