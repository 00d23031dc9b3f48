// Selection looks at the size of the elements only.
#include "kernels/cuda/elementwise/pointwise.cuh"

namespace linnet::cuda {

template <class S, class Place, int N>
LINNET_DEVICE void select(const PointwiseArgs<3>& args) {
  const Place place(args);
  if (place.count == 0) return;
  Packs<Bool, N> condition;
  Packs<S, N> yes, no;
  place.fetch(args, 0, condition);
  place.fetch(args, 1, yes);
  place.fetch(args, 2, no);
  S y[N];
  LINNET_UNROLL
  for (int i = 0; i < N; ++i) y[i] = condition[i].byte != 0 ? yes[i] : no[i];
  place.template store<S>(args.y.get(), y);
}

#define LINNET_SELECT_KERNEL(name, S, N)                               \
  LINNET_KERNEL(name, PointwiseArgs<3>, kPointwiseThreads) {           \
    select<S, PackedPlace<3, N>, N>(args);                             \
  }                                                                    \
  LINNET_KERNEL(name##_strided, PointwiseArgs<3>, kPointwiseThreads) { \
    select<S, StridedPlace<3, 2>, 2>(args);                            \
  }
LINNET_SELECT_KERNEL(select_1, uint8_t, 8)
LINNET_SELECT_KERNEL(select_2, uint16_t, 8)
LINNET_SELECT_KERNEL(select_4, uint32_t, 8)
LINNET_SELECT_KERNEL(select_8, uint64_t, 4)

}  // namespace linnet::cuda
