// The members of Tensor that are operations under another spelling.
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

Tensor Tensor::astype(DType dtype) const { return linnet::astype(*this, dtype); }
Tensor Tensor::reshape(const Shape& shape) const { return linnet::reshape(*this, shape); }
Tensor Tensor::transpose() const { return linnet::transpose(*this); }
Tensor Tensor::transpose(const Axes& permutation) const {
  return linnet::transpose(*this, permutation);
}
Tensor Tensor::operator[](int64_t index) const { return linnet::index_axis(*this, index, 0); }
Tensor Tensor::operator[](std::initializer_list<int64_t> indices) const {
  if (indices.size() > rank()) {
    fail<ShapeError>("index: {} indices are too many for {}", indices.size(), to_string(type()));
  }
  Tensor out = *this;
  for (int64_t index : indices) out = linnet::index_axis(out, index, 0);
  return out;
}

Tensor Tensor::sum(const ReductionAxes& a, bool keep) const { return linnet::sum(*this, a, keep); }
Tensor Tensor::mean(const ReductionAxes& a, bool keep) const {
  return linnet::mean(*this, a, keep);
}
Tensor Tensor::prod(const ReductionAxes& a, bool keep) const {
  return linnet::prod(*this, a, keep);
}
Tensor Tensor::max(const ReductionAxes& a, bool keep) const { return linnet::max(*this, a, keep); }
Tensor Tensor::min(const ReductionAxes& a, bool keep) const { return linnet::min(*this, a, keep); }
Tensor Tensor::any(const ReductionAxes& a, bool keep) const { return linnet::any(*this, a, keep); }
Tensor Tensor::all(const ReductionAxes& a, bool keep) const { return linnet::all(*this, a, keep); }
Tensor Tensor::argmax(std::optional<int64_t> axis, bool keep) const {
  return linnet::argmax(*this, axis, keep);
}
Tensor Tensor::argmin(std::optional<int64_t> axis, bool keep) const {
  return linnet::argmin(*this, axis, keep);
}

Tensor& Tensor::operator+=(const Tensor& other) & { return *this = add(*this, other); }
Tensor& Tensor::operator-=(const Tensor& other) & { return *this = sub(*this, other); }
Tensor& Tensor::operator*=(const Tensor& other) & { return *this = mul(*this, other); }
Tensor& Tensor::operator/=(const Tensor& other) & { return *this = div(*this, other); }

}  // namespace linnet
