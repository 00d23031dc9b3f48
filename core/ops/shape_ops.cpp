#include "core/ops/shape_ops.h"

#include <numeric>

#include "core/ops/dims.h"
#include "core/ops/families.h"
#include "core/tensor/checked_size.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet {

Axes all_axes(size_t rank) {
  Axes axes(rank);
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return axes;
}

Axes complement(const Axes& axes, size_t rank) {
  Axes out;
  for (int64_t i = 0; i < static_cast<int64_t>(rank); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) out.push_back(i);
  }
  return out;
}

Axes shifted(const Axes& axes) {
  Axes out = axes;
  for (int64_t& axis : out) ++axis;
  return out;
}

Axes inverse(const Axes& permutation) {
  Axes out(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) out[permutation[i]] = static_cast<int64_t>(i);
  return out;
}

bool is_in_order(const Axes& axes) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

Shape with_batch(const Shape& shape, int64_t size) {
  Shape out = shape;
  out.insert(0, size);
  return out;
}

Tensor repeated(const Tensor& x, int64_t size) {
  return broadcast_in_dim(x, with_batch(x.shape(), size), shifted(all_axes(x.rank())));
}

Tensor batched_operand(const BatchedInputs& in, size_t index) {
  return in.batched[index] ? in.x[index] : repeated(in.x[index], in.size);
}

namespace {

std::optional<TensorLayout> reshape_view(const ReshapeParams& p, const LayoutRef& x) {
  if (is_dense(x.shape, x.strides) || element_count(x.shape) == 0)
    return TensorLayout{x.dtype, p.shape, dense_strides(p.shape)};
  // Groups of operand dimensions are matched with groups of new dimensions of the same size; a view
  // exists if each operand group is evenly spaced.
  Shape sizes;
  Strides steps;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    if (x.shape[i] == 1) continue;
    if (!sizes.empty() && steps.back() == x.strides[i] * x.shape[i]) {
      sizes.back() *= x.shape[i];
      steps.back() = x.strides[i];
    } else {
      sizes.push_back(x.shape[i]);
      steps.push_back(x.strides[i]);
    }
  }
  Strides strides(p.shape.size());
  size_t group = sizes.size();
  int64_t left = 1, step = 0;
  for (size_t i = p.shape.size(); i-- > 0;) {
    if (p.shape[i] == 1) continue;
    if (left == 1) {
      if (group == 0) return std::nullopt;
      --group;
      left = sizes[group];
      step = steps[group];
    }
    if (left % p.shape[i] != 0) return std::nullopt;
    strides[i] = step;
    step *= p.shape[i];
    left /= p.shape[i];
  }
  return TensorLayout{x.dtype, p.shape, strides};
}

void check_fills(const Tensor& x, const Shape& shape) {
  if (checked_element_count("reshape", shape) == x.size()) return;
  fail<ShapeError>("reshape: {} has {} elements, which do not fill {}", type_of(x), x.size(),
                   to_string(shape));
}

TypeList infer_reshape(const ReshapeParams& p, Inputs x) {
  check_fills(x[0], p.shape);
  return {{x[0].dtype(), p.shape, x[0].weak(), x[0].device()}};
}

TypeList infer_transpose(const TransposeParams& p, Inputs x) {
  Shape shape;
  for (int64_t axis : p.permutation) shape.push_back(x[0].shape()[axis]);
  return {{x[0].dtype(), shape, x[0].weak(), x[0].device()}};
}

std::optional<TensorLayout> transpose_view(const TransposeParams& p, const LayoutRef& x) {
  TensorLayout out{x.dtype, Shape(p.permutation.size()), Strides(p.permutation.size())};
  for (size_t i = 0; i < p.permutation.size(); ++i) {
    out.shape[i] = x.shape[p.permutation[i]];
    out.strides[i] = x.strides[p.permutation[i]];
  }
  return out;
}

DimMap transpose_dims(const TransposeParams& p, Inputs x) {
  return dims::placed(x[0], inverse(p.permutation), infer_transpose(p, x)[0].shape);
}

TypeList infer_broadcast_in_dim(const BroadcastInDimParams& p, Inputs x) {
  const Shape& from = x[0].shape();
  bool fits = p.dimensions.size() == from.size();
  for (size_t i = 0; fits && i < from.size(); ++i) {
    const int64_t d = p.dimensions[i];
    fits = d >= 0 && d < static_cast<int64_t>(p.shape.size()) &&
           (i == 0 || d > p.dimensions[i - 1]) && (from[i] == 1 || from[i] == p.shape[d]);
  }
  if (!fits) {
    fail<ShapeError>(
        "broadcast_in_dim: {} does not fit {} with dimensions {}\n"
        "  hint: dimensions must ascend, one per operand dimension, whose size is 1 or that of the "
        "result",
        type_of(x[0]), to_string(p.shape), to_string(p.dimensions));
  }
  checked_element_count("broadcast_in_dim", p.shape);
  return {{x[0].dtype(), p.shape, x[0].weak(), x[0].device()}};
}

std::optional<TensorLayout> broadcast_in_dim_view(const BroadcastInDimParams& p,
                                                  const LayoutRef& x) {
  Strides strides(p.shape.size(), 0);
  for (size_t i = 0; i < p.dimensions.size(); ++i) {
    if (x.shape[i] != 1) strides[p.dimensions[i]] = x.strides[i];
  }
  return TensorLayout{x.dtype, p.shape, strides};
}

TensorList transpose_broadcast_in_dim(const BroadcastInDimParams& p, Inputs x, const Tensor& ct) {
  const Shape& from = x[0].shape();
  Axes summed = complement(p.dimensions, p.shape.size());
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == 1 && p.shape[p.dimensions[i]] != 1) summed.push_back(p.dimensions[i]);
  }
  std::sort(summed.begin(), summed.end());
  return {reshape(summed.empty() ? ct : sum(ct, summed), from)};
}

DimMap broadcast_dims(const BroadcastInDimParams& p, Inputs x) {
  return dims::placed(x[0], p.dimensions, p.shape);
}

TypeList infer_concatenate(const ConcatenateParams& p, Inputs x) {
  TensorType type = x[0].type();
  for (const Tensor& part : x.subspan(1)) {
    Shape other = part.shape();
    bool fits = part.rank() == type.shape.size() && part.dtype() == type.dtype;
    if (fits) {
      other[p.axis] = type.shape[p.axis];
      fits = other == type.shape;
    }
    if (!fits) {
      fail<ShapeError>("concatenate: parts must agree but for axis {}, got {} and {}", p.axis,
                       type_of(x[0]), type_of(part));
    }
    type.shape[p.axis] =
        (CheckedSize("concatenate", type.shape[p.axis]) + part.shape()[p.axis]).value();
    type.weak = type.weak && part.weak();
  }
  checked_element_count("concatenate", type.shape);
  return {type};
}

TensorList transpose_concatenate(const ConcatenateParams& p, Inputs x, const Tensor& ct) {
  TensorList out;
  int64_t start = 0;
  for (const Tensor& part : x) {
    const int64_t size = part.shape()[p.axis];
    out.push_back(slice_axis(ct, start, start + size, p.axis));
    start += size;
  }
  return out;
}

DimMap concatenate_dims(const ConcatenateParams& p, Inputs x) {
  return dims::aligned(x, {p.axis}, infer_concatenate(p, x)[0].shape);
}

TypeList infer_reverse(const ReverseParams&, Inputs x) { return {x[0].type()}; }

std::optional<TensorLayout> reverse_view(const ReverseParams& p, const LayoutRef& x) {
  Strides strides = x.strides;
  int64_t offset = 0;
  for (int64_t axis : p.axes) {
    offset += strides[axis] * std::max<int64_t>(x.shape[axis] - 1, 0);
    strides[axis] = -strides[axis];
  }
  if (element_count(x.shape) == 0) offset = 0;
  return TensorLayout{x.dtype, x.shape, strides, offset};
}

}  // namespace

const Primitive& reshape_primitive() {
  static const Primitive& p = define(LinearMap<ReshapeParams>{
      .name = "reshape",
      .infer = infer_reshape,
      .transpose = [](const ReshapeParams&, Inputs x,
                      const Tensor& ct) { return TensorList{reshape(ct, x[0].shape())}; },
      .dims = [](const ReshapeParams& q,
                 Inputs x) { return dims::regrouped(x[0].shape(), q.shape); },
      .view = reshape_view,
      .complex = true});
  return p;
}

const Primitive& transpose_primitive() {
  static const Primitive& p = define(
      LinearMap<TransposeParams>{.name = "transpose",
                                 .infer = infer_transpose,
                                 .transpose =
                                     [](const TransposeParams& q, Inputs, const Tensor& ct) {
                                       return TensorList{transpose(ct, inverse(q.permutation))};
                                     },
                                 .dims = transpose_dims,
                                 .view = transpose_view,
                                 .complex = true});
  return p;
}

const Primitive& broadcast_in_dim_primitive() {
  static const Primitive& p =
      define(LinearMap<BroadcastInDimParams>{.name = "broadcast_in_dim",
                                             .infer = infer_broadcast_in_dim,
                                             .transpose = transpose_broadcast_in_dim,
                                             .dims = broadcast_dims,
                                             .view = broadcast_in_dim_view,
                                             .complex = true});
  return p;
}

const Primitive& concatenate_primitive() {
  static const Primitive& p =
      define(LinearMap<ConcatenateParams>{.name = "concatenate",
                                          .infer = infer_concatenate,
                                          .transpose = transpose_concatenate,
                                          .dims = concatenate_dims,
                                          .complex = true});
  return p;
}

const Primitive& reverse_primitive() {
  static const Primitive& p = define(LinearMap<ReverseParams>{
      .name = "rev",
      .infer = infer_reverse,
      .transpose = [](const ReverseParams& q, Inputs,
                      const Tensor& ct) { return TensorList{flip(ct, q.axes)}; },
      .dims = [](const ReverseParams& q,
                 Inputs x) { return dims::aligned(x, q.axes, x[0].shape()); },
      .view = reverse_view,
      .complex = true});
  return p;
}

void define_shape_ops() {
  reshape_primitive();
  transpose_primitive();
  broadcast_in_dim_primitive();
  concatenate_primitive();
  split_primitive();
  reverse_primitive();
  pad_primitive();
}

namespace {

/// An array that is made of a number of the host is made on the default device.
Tensor where_arrays_are_made(const Tensor& x) {
  const bool number = x.device().host() && x.shape().empty();
  return number && !default_device().host() ? x.to(default_device()) : x;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  Shape resolved = shape;
  int64_t unknown = -1;
  CheckedSize known("reshape", 1);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] >= 0) {
      known = known * shape[i];
    } else if (shape[i] == -1 && unknown < 0) {
      unknown = static_cast<int64_t>(i);
    } else {
      fail<ShapeError>("reshape: {} must have sizes of at least 0 and at most one -1",
                       to_string(shape));
    }
  }
  if (unknown >= 0) {
    if (known.value() == 0 || x.size() % known.value() != 0) {
      fail<ShapeError>("reshape: no size for -1 lets {}, with {} elements, fill {}", type_of(x),
                       x.size(), to_string(shape));
    }
    resolved[unknown] = x.size() / known.value();
  }
  if (resolved == x.shape()) return x;
  check_fills(x, resolved);
  if (x.rank() == 0) {
    const Tensor placed = where_arrays_are_made(x);
    return emit_one(reshape_primitive(), Inputs(&placed, 1), ReshapeParams{resolved});
  }
  return emit_one(reshape_primitive(), Inputs(&x, 1), ReshapeParams{resolved});
}

Tensor ravel(const Tensor& x) { return reshape(x, {x.size()}); }

namespace {

/// `transpose` by a permutation that is one.
Tensor permuted(const Tensor& x, const Axes& permutation) {
  if (is_in_order(permutation)) return x;
  return emit_one(transpose_primitive(), Inputs(&x, 1), TransposeParams{permutation});
}

}  // namespace

Tensor transpose(const Tensor& x, const Axes& permutation) {
  const Axes axes = normalize_axes(permutation, x.rank(), "transpose");
  if (axes.size() != x.rank()) {
    fail<ShapeError>("transpose: permutation {} does not list every axis of {} once",
                     to_string(permutation), type_of(x));
  }
  return permuted(x, axes);
}

Tensor transpose(const Tensor& x) {
  Axes axes(x.rank());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(axes.size() - 1 - i);
  return permuted(x, axes);
}

Tensor swapaxes(const Tensor& x, int64_t a, int64_t b) {
  Axes axes = all_axes(x.rank());
  std::swap(axes[normalize_axis(a, x.rank(), "swapaxes")],
            axes[normalize_axis(b, x.rank(), "swapaxes")]);
  return permuted(x, axes);
}

Tensor moveaxis(const Tensor& x, int64_t source, int64_t destination) {
  const int64_t from = normalize_axis(source, x.rank(), "moveaxis");
  const int64_t to = normalize_axis(destination, x.rank(), "moveaxis");
  Axes axes = all_axes(x.rank());
  axes.erase(static_cast<size_t>(from));
  axes.insert(static_cast<size_t>(to), from);
  return permuted(x, axes);
}

Tensor expand_dims(const Tensor& x, const Axes& axes) {
  Axes inserted = normalize_axes(axes, x.rank() + axes.size(), "expand_dims");
  std::sort(inserted.begin(), inserted.end());
  Shape shape = x.shape();
  for (int64_t axis : inserted) shape.insert(static_cast<size_t>(axis), 1);
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  const Axes removed = normalize_axes(axes, x.rank(), "squeeze");
  Shape shape;
  for (int64_t i = 0; i < static_cast<int64_t>(x.rank()); ++i) {
    if (std::find(removed.begin(), removed.end(), i) == removed.end()) {
      shape.push_back(x.shape()[i]);
    } else if (x.shape()[i] != 1) {
      fail<ShapeError>("squeeze: axis {} of {} has size {}; expected 1", i, type_of(x),
                       x.shape()[i]);
    }
  }
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x) {
  Shape shape;
  for (int64_t size : x.shape()) {
    if (size != 1) shape.push_back(size);
  }
  return reshape(x, shape);
}

Tensor broadcast_in_dim(const Tensor& x, const Shape& shape, const Axes& dimensions) {
  if (x.shape() == shape && dimensions == all_axes(x.rank())) return x;
  const BroadcastInDimParams params{shape, dimensions};
  infer_broadcast_in_dim(params, Inputs(&x, 1));
  return emit_one(broadcast_in_dim_primitive(), {where_arrays_are_made(x)}, params);
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  bool fits = x.rank() <= shape.size();
  const size_t offset = fits ? shape.size() - x.rank() : 0;
  Axes dimensions;
  for (size_t i = 0; fits && i < x.rank(); ++i) {
    dimensions.push_back(static_cast<int64_t>(offset + i));
    fits = x.shape()[i] == 1 || x.shape()[i] == shape[offset + i];
  }
  if (!fits) {
    fail<ShapeError>(
        "broadcast_to: {} does not broadcast to {}\n"
        "  hint: trailing sizes must be equal or 1",
        type_of(x), to_string(shape));
  }
  checked_element_count("broadcast_to", shape);
  return emit_one(broadcast_in_dim_primitive(), {where_arrays_are_made(x)},
                  BroadcastInDimParams{shape, dimensions});
}

Tensor flip(const Tensor& x, const Axes& axes) {
  const Axes reversed = normalize_axes(axes, x.rank(), "flip");
  if (reversed.empty()) return x;
  return emit_one(reverse_primitive(), {x}, ReverseParams{reversed});
}

}  // namespace linnet
