#include "core/ops/placement.h"

#include "core/ops/families.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"

namespace linnet {

const Primitive& device_put_primitive() {
  static const Primitive& p = define(LinearMap<DevicePutParams>{
      .name = "device_put",
      .infer =
          [](const DevicePutParams& p, Inputs x) {
            return TypeList{{x[0].dtype(), x[0].shape(), x[0].weak(), p.device}};
          },
      .transpose = [](const DevicePutParams&, Inputs x,
                      const Tensor& ct) { return TensorList{ct.to(x[0].device())}; },
      .pointwise = true,
      .complex = true});
  return p;
}

void define_placement() { device_put_primitive(); }

Tensor Tensor::to(Device device) const {
  if (this->device() == device) return *this;
  // What is known already is no part of a program or of a derivative.
  if (impl_->concrete()) return transferred(*this, device);
  return emit_one(device_put_primitive(), Inputs(this, 1), DevicePutParams{device});
}

}  // namespace linnet
