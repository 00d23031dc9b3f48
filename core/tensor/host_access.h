// Private: how host code reads and writes the bytes of tensors. Nothing else may follow
// `TensorImpl::data`, which need not be an address of the host.
//
//   const Tensor host = host_view(x);
//   const float* values = reinterpret_cast<const float*>(host.impl()->data);
#pragma once

#include "linnet/tensor.h"

namespace linnet {

/// The values of a concrete tensor in dense host memory: itself, or a copy.
Tensor host_view(const Tensor& tensor);
/// A dense tensor on `device` of the bytes of the host.
Tensor upload(const void* bytes, DType dtype, const Shape& shape, Device device, bool weak = false);
/// A concrete tensor on another device; itself if it is there.
Tensor transferred(const Tensor& tensor, Device device);

}  // namespace linnet
