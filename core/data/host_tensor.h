// What readers fill becomes a tensor, without a copy. Private.
#pragma once

#include "linnet/io/host_array.h"
#include "linnet/tensor.h"

namespace linnet::data {

/// On the host, over the memory of the array.
inline Tensor host_tensor(const WritableHostArray& filled) {
  const HostArray& array = filled.array;
  return from_external(array.data, array.dtype, array.shape, array.owner);
}

}  // namespace linnet::data
