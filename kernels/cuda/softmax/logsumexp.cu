#include "kernels/cuda/softmax/exponential.cuh"
#include "kernels/cuda/softmax/softmax_args.h"

namespace linnet::cuda {

template <class T, int kBlock, int kThreads, int kWidth>
LINNET_DEVICE void logsumexp_rows(const LogSumExpArgs& args) {
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int at = thread() % kThreads;
  const T* x = static_cast<const T*>(args.x.get()) + row * args.columns;
  const auto sum = exponential_sum_of_row<T, kThreads, kWidth>(x, args.columns, at);
  if (at == 0) {
    static_cast<T*>(args.y.get())[row] =
        from_wide<T>(scalar::log(sum.sum) + finite_shift(sum.high));
  }
}

#define X(name, dtype, T, threads, row_threads, width, count) \
  LINNET_KERNEL(name, LogSumExpArgs, threads) {               \
    logsumexp_rows<T, threads, row_threads, width>(args);     \
  }
LINNET_LOGSUMEXP_KERNELS(X)
#undef X

}  // namespace linnet::cuda
