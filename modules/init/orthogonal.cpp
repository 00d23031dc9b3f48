#include "linnet/detail/format.h"
#include "linnet/init.h"

namespace linnet::init {

Initializer orthogonal(double scale, int64_t column_axis) {
  return [=](const Key& key, const Shape& shape, DType dtype) {
    if (shape.size() < 2) {
      fail<ShapeError>("orthogonal: expected a shape of at least two axes, got {}",
                       to_string(shape));
    }
    const int64_t axis = normalize_axis(column_axis, shape.size(), "orthogonal");
    if (element_count(shape) == 0) return linnet::zeros(shape, dtype);
    const int64_t columns = shape[static_cast<size_t>(axis)], rows = element_count(shape) / columns;
    Shape moved = shape;
    moved.erase(static_cast<size_t>(axis));
    moved.push_back(columns);
    const Tensor q = random::orthogonal(key, rows, {}, columns, dtype);
    return moveaxis(reshape(q, moved), -1, axis) * scale;
  };
}

Initializer delta_orthogonal(double scale, int64_t column_axis) {
  return [=](const Key& key, const Shape& shape, DType dtype) {
    const size_t rank = shape.size();
    if (rank < 3 || rank > 5) {
      fail<ShapeError>("delta_orthogonal: expected a shape of 3, 4 or 5 axes, got {}",
                       to_string(shape));
    }
    const int64_t in = shape[rank - 2], out = shape[rank - 1];
    if (out < in) {
      fail<ShapeError>("delta_orthogonal: expected at least as many outputs as inputs, got {}",
                       to_string(shape));
    }
    if (element_count(shape) == 0) return linnet::zeros(shape, dtype);
    Shape centre(rank, 1);
    centre[rank - 2] = in;
    centre[rank - 1] = out;
    std::vector<PadDim> padding(rank);
    for (size_t i = 0; i + 2 < rank; ++i) {
      padding[i].low = (shape[i] - 1) / 2;
      padding[i].high = shape[i] - 1 - padding[i].low;
    }
    const Tensor matrix = orthogonal(scale, column_axis)(key, {in, out}, dtype);
    return pad(reshape(matrix, centre), padding, scalar(0, dtype));
  };
}

}  // namespace linnet::init
