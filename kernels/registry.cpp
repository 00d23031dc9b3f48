// The back ends that are linked in. Core calls this and knows none of them.
#include "kernels/cpu/back_end.h"
#if defined(LINNET_WITH_CUDA)
#include "kernels/cuda/back_end.h"
#endif

#if !defined(LINNET_WITH_CUDA)
#include "linnet/cuda.h"
#include "linnet/error.h"

namespace linnet::cuda {

std::string report() { return "CUDA back end: not built: " LINNET_CUDA_REASON "\n"; }
Statistics statistics(int) {
  throw DeviceError("cuda: the back end is not built: " LINNET_CUDA_REASON);
}

}  // namespace linnet::cuda
#endif

namespace linnet {

void register_linked_back_ends() {
  register_back_end(DeviceType::kCpu, cpu_back_end());
#if defined(LINNET_WITH_CUDA)
  register_back_end(DeviceType::kCuda, cuda::back_end());
#endif
}

}  // namespace linnet
