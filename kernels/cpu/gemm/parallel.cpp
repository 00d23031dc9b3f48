#include "kernels/cpu/gemm/parallel.h"

#include <algorithm>

#include "kernels/cpu/thread_pool.h"

namespace linnet::cpu {

int available_threads() { return num_threads(); }

void run_tasks(int64_t count, int threads, void (*task)(const void*, int64_t, int),
               const void* context) {
  const int team = static_cast<int>(std::min<int64_t>(threads, count));
  if (team <= 1) {
    for (int64_t i = 0; i < count; ++i) task(context, i, 0);
    return;
  }
  run_parts(team, [&](int part) {
    const int64_t begin = count * part / team, end = count * (part + 1) / team;
    for (int64_t i = begin; i < end; ++i) task(context, i, part);
  });
}

}  // namespace linnet::cpu
