// The frame of kernels over lists of tensors.
#pragma once

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/optim/optim_args.h"

namespace linnet::cuda {

/// What a block takes: elements [begin, end) of one tensor.
struct ListPart {
  int tensor;
  int64_t begin, end;

  template <int most>
  LINNET_DEVICE explicit ListPart(const TensorTable<most>& table) {
    const int block = block_x();
    int low = 0, high = table.count;  // the tensor is in [low, high)
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (table.first_block[middle] <= block)
        low = middle;
      else
        high = middle;
    }
    tensor = low;
    begin = int64_t{block - table.first_block[low]} * kListBlock;
    end = begin + kListBlock < table.size[low] ? begin + kListBlock : table.size[low];
  }
};

}  // namespace linnet::cuda
