#include "cuda/host/fake_driver_kernels.h"

#include "kernels/cuda/device/device.h"

using linnet::testing::LineArgs;

LINNET_KERNEL(test_driver_line, LineArgs, 64) {
  const int i = linnet::cuda::thread();
  if (i < args.count) args.y.get()[i] = args.factor * args.x.get()[i] + args.term;
}
