#include "kernels/cpu/gemm/parallel.h"

#include <omp.h>

#include <algorithm>

namespace linnet::cpu {

int available_threads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void run_tasks(int64_t count, int threads, void (*task)(const void*, int64_t, int),
               const void* context) {
  const int team = static_cast<int>(std::min<int64_t>(threads, count));
  if (team <= 1) {
    for (int64_t i = 0; i < count; ++i) task(context, i, 0);
    return;
  }
#pragma omp parallel num_threads(team)
  {
    const int thread = omp_get_thread_num();
    const int actual = omp_get_num_threads();
    const int64_t begin = count * thread / actual;
    const int64_t end = count * (thread + 1) / actual;
    for (int64_t i = begin; i < end; ++i) task(context, i, thread);
  }
}

}  // namespace linnet::cpu
