// Private: oneDNN computes on the thread that calls it. How work is divided is decided in parts.h.
#pragma once

#include "kernels/cpu/openmp.h"

namespace linnet::cpu::onednn {

/// One thread for oneDNN in a scope, in this thread alone. It asks OpenMP for the number when it
/// prepares, and again when it runs.
class OneThreadScope {
 public:
  OneThreadScope() : before_(omp_get_max_threads()) { set(1); }
  ~OneThreadScope() { set(before_); }
  OneThreadScope(const OneThreadScope&) = delete;
  OneThreadScope& operator=(const OneThreadScope&) = delete;

 private:
  void set(int threads) const {
    if (before_ != 1) omp_set_num_threads(threads);
  }
  const int before_;
};

}  // namespace linnet::cpu::onednn
