#include "kernels/cpu/reference/window.h"

namespace linnet::cpu {

WindowGeometry WindowGeometry::plain(Shape shape, Shape window) {
  const size_t rank = shape.size();
  return {shape,          window,         Shape(rank, 1), Shape(rank, 0),
          Shape(rank, 0), Shape(rank, 1), Shape(rank, 1)};
}

Shape WindowGeometry::out_shape() const {
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t dilated = shape[i] == 0 ? 0 : (shape[i] - 1) * base_dilation[i] + 1;
    const int64_t reach = (window[i] - 1) * window_dilation[i] + 1;
    const int64_t room = dilated + pad_low[i] + pad_high[i] - reach;
    out.push_back(room < 0 ? 0 : room / stride[i] + 1);
  }
  return out;
}

}  // namespace linnet::cpu
