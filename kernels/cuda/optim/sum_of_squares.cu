// The sum of squares of all elements of a list of tensors, in an order that their sizes decide.
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/wide.h"
#include "kernels/cuda/optim/tensor_list.cuh"

namespace linnet::cuda {

/// Threads add a few squares in the elements' arithmetic, blocks in double.
template <class T, class Args>
LINNET_DEVICE void sum_of_squares(const Args& args) {
  using W = Wide<T>;
  const ListPart part(args.table);
  const T* x = static_cast<const T*>(args.tensors[part.tensor].get());
  const bool aligned = reinterpret_cast<size_t>(x) % 16 == 0;
  W sum = 0;
  for (int64_t at = part.begin + thread() * kPack<T>; at < part.end;
       at += kListThreads * kPack<T>) {
    if (aligned && at + kPack<T> <= part.end) {
      const Pack<T, kPack<T>> pack = load_pack<kPack<T>>(x + at);
      LINNET_UNROLL
      for (int j = 0; j < kPack<T>; ++j) sum += to_wide(pack[j]) * to_wide(pack[j]);
    } else {
      for (int64_t i = at; i < at + kPack<T> && i < part.end; ++i)
        sum += to_wide(x[i]) * to_wide(x[i]);
    }
  }
  const double total = block_reduce<kListThreads>(static_cast<double>(sum), Sum());
  if (thread() == 0) args.sums.get()[block_x()] = total;
}

#define X(name, dtype, T, most) \
  LINNET_KERNEL(name, SumOfSquaresArgs<most>, kListThreads) { sum_of_squares<T>(args); }
LINNET_SUM_OF_SQUARES_KERNELS(X)
#undef X

LINNET_KERNEL(finish_sum_of_squares, FinishSumOfSquaresArgs, 1024) {
  double sum = 0;
  for (int64_t i = thread(); i < args.count; i += 1024) sum += args.sums.get()[i];
  sum = block_reduce<1024>(sum, Sum());
  if (thread() != 0) return;
  if (args.is_double)
    *static_cast<double*>(args.out.get()) = sum;
  else
    *static_cast<float*>(args.out.get()) = static_cast<float>(sum);
}

}  // namespace linnet::cuda
