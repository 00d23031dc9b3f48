// The only way in which host code sees the bytes of tensors, wherever they are.
#include "core/tensor/host_access.h"

#include <cstring>

#include "core/memory/devices.h"
#include "core/memory/owners.h"
#include "core/tensor/tensor_impl.h"

namespace linnet {
namespace {

size_t bytes_of(const Tensor& tensor) {
  return static_cast<size_t>(tensor.size()) * size_of(tensor.dtype());
}

/// Without a back end the memory of a device is one that the host reads and writes.
void upload_bytes(Device device, void* to, const void* host, size_t bytes) {
  if (bytes == 0) return;
  BackEnd* back_end = device.host() ? nullptr : find_back_end(device);
  if (back_end)
    back_end->upload(device, to, host, bytes);
  else
    std::memcpy(to, host, bytes);
}

void download_bytes(void* host, Device device, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (BackEnd* back_end = find_back_end(device))
    back_end->download(host, device, from, bytes);
  else
    std::memcpy(host, from, bytes);
}

Tensor downloaded(const Tensor& tensor) {
  const Tensor flat = tensor.contiguous();
  allocating_for = "copies of other devices";
  Tensor out = make_uninitialized(flat.dtype(), flat.shape(), kCpu, flat.weak());
  download_bytes(mutable_data(out), flat.device(), flat.impl()->data, bytes_of(flat));
  out.impl()->exact_literal = flat.impl()->exact_literal;
  out.impl()->exact_imaginary = flat.impl()->exact_imaginary;
  return out;
}

}  // namespace

Tensor host_view(const Tensor& tensor) {
  if (!tensor.impl()->device.host()) return downloaded(tensor);
  return dense(*tensor.impl()) ? tensor : dense_copy(tensor);
}

Tensor upload(const void* bytes, DType dtype, const Shape& shape, Device device, bool weak) {
  allocating_for = "values of the host";
  Tensor out = make_uninitialized(dtype, shape, device, weak);
  upload_bytes(device, mutable_data(out), bytes, bytes_of(out));
  return out;
}

Tensor transferred(const Tensor& tensor, Device device) {
  const Device from = tensor.device();
  if (from == device) return tensor;
  if (device == Device{}) return host_view(tensor);
  if (from.type != device.type) {
    const Tensor host = host_view(tensor);
    Tensor out = upload(host.impl()->data, host.dtype(), host.shape(), device, host.weak());
    out.impl()->exact_literal = host.impl()->exact_literal;
    out.impl()->exact_imaginary = host.impl()->exact_imaginary;
    return out;
  }
  const Tensor flat = tensor.contiguous();
  allocating_for = "copies of other devices";
  Tensor out = make_uninitialized(flat.dtype(), flat.shape(), device, flat.weak());
  out.impl()->exact_literal = flat.impl()->exact_literal;
  out.impl()->exact_imaginary = flat.impl()->exact_imaginary;
  back_end_of(device).copy(device, mutable_data(out), from, flat.impl()->data, bytes_of(flat));
  return out;
}

}  // namespace linnet
