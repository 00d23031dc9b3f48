// Private: how many threads the library uses. It decides at preparation, and what it prepared for
// one number must run with that number.
#pragma once

#include <omp.h>

namespace linnet::cpu::onednn {

/// OpenMP's number of threads for a scope, in this thread alone.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) { set(threads); }
  ~ThreadScope() { set(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  static void set(int threads) {
    if (threads != omp_get_max_threads()) omp_set_num_threads(threads);
  }
  const int before_;
};

}  // namespace linnet::cpu::onednn
