// Copies that device code starts and waits for later.
#pragma once

#include <vector>

#include "cuda/emulator/operations.h"

namespace linnet::cuda::emulator {

// Copies that a thread has started.
struct AsyncCopies {
  struct Copy {
    AsyncCopy what;
    int group;
  };
  std::vector<Copy> copies;
  size_t done = 0;
  int group = 0;  // that is open

  bool take(int groups, AsyncCopy& copy) {
    if (done == copies.size() || copies[done].group >= group - groups) return false;
    copy = copies[done++].what;
    return true;
  }
};

}  // namespace linnet::cuda::emulator
