// The number of threads of Linnet and of libraries that use OpenMP, which are measured beside it.
#pragma once

#include <omp.h>

#include "linnet/parallel.h"

namespace linnet::bench {

/// Linnet has threads of its own and does not set OpenMP's number.
inline void set_threads(int count) {
  set_num_threads(count);
  omp_set_num_threads(count);
}

}  // namespace linnet::bench
