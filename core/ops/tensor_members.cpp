// The members of Tensor that are operations under another spelling.
#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/numpy.h"
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

Tensor Tensor::indexed(const std::vector<Index>& places) const {
  const auto is = [](IndexMark mark) { return [mark](const Index& i) { return i.mark == mark; }; };
  const auto dots = std::count_if(places.begin(), places.end(), is(kEllipsis));
  const auto named = std::count_if(places.begin(), places.end(), [](auto& i) { return !i.mark; });
  if (dots > 1) fail<ValueError>("index: kEllipsis stands for all other axes, and came twice");
  if (static_cast<size_t>(named) > rank())
    fail<ShapeError>("index: {} indices are too many for {}", named, to_string(type()));
  Tensor out = *this;
  int64_t axis = 0;
  for (const Index& place : places) {
    if (place.mark == kEllipsis)
      axis += static_cast<int64_t>(rank()) - named;
    else if (place.mark == kNewAxis)
      out = linnet::expand_dims(out, axis++);
    else if (place.single)
      out = linnet::index_axis(out, *place.range.start, axis);
    else
      out = slice_step(out, place.range.start, place.range.stop, place.range.step, axis++);
  }
  return out;
}

ElementIterator<Tensor> Tensor::end() const {
  if (rank() == 0) {
    fail<ShapeError>("iteration: {} has no first axis to walk along\n  hint: item() reads it",
                     to_string(type()));
  }
  return {*this, shape()[0]};
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
