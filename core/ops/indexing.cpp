// Slices with fixed and with computed starts.
#include "core/ops/indexing.h"

#include <limits>

#include "core/ops/dims.h"
#include "core/ops/families.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

/// Elements of start:stop:stride.
int64_t stepped(int64_t start, int64_t stop, int64_t stride) {
  return start == stop ? 0 : (stop - start - 1) / stride + 1;
}

TypeList infer_slice(const SliceParams& p, Inputs x) {
  TensorType type = x[0].type();
  const size_t rank = type.shape.size();
  bool fits = p.start.size() == rank && p.stop.size() == rank && p.strides.size() == rank;
  for (size_t i = 0; fits && i < rank; ++i) {
    fits = 0 <= p.start[i] && p.start[i] <= p.stop[i] && p.stop[i] <= type.shape[i] &&
           p.strides[i] >= 1;
    if (fits) type.shape[i] = stepped(p.start[i], p.stop[i], p.strides[i]);
  }
  if (!fits) {
    fail<ShapeError>(
        "slice: start {}, stop {}, strides {} do not fit {}\n"
        "  hint: expected 0 <= start <= stop <= size and strides of at least 1 in every dimension",
        to_string(p.start), to_string(p.stop), to_string(p.strides), type_of(x[0]));
  }
  return {type};
}

std::optional<TensorLayout> slice_view(const SliceParams& p, const LayoutRef& x) {
  Shape shape = x.shape;
  Strides strides = x.strides;
  int64_t offset = 0, count = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    offset += p.start[i] * strides[i];
    shape[i] = stepped(p.start[i], p.stop[i], p.strides[i]);
    // A single element has no neighbour, however large the step to it.
    if (shape[i] > 1) strides[i] *= p.strides[i];
    count *= shape[i];
  }
  return TensorLayout{x.dtype, shape, strides, count == 0 ? 0 : offset};
}

TensorList transpose_slice(const SliceParams& p, Inputs x, const Tensor& ct) {
  const Shape& shape = x[0].shape();
  if (ct.size() == 0) return {zeros(shape, ct.dtype())};
  std::vector<PadDim> padding;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t covered = (ct.shape()[i] - 1) * p.strides[i] + 1;
    padding.push_back({p.start[i], shape[i] - p.start[i] - covered, p.strides[i] - 1});
  }
  return {pad(ct, padding)};
}

DimMap slice_dims(const SliceParams& p, Inputs x) {
  const Shape result = infer_slice(p, x)[0].shape;
  Axes cut;
  for (size_t i = 0; i < result.size(); ++i) {
    if (result[i] != x[0].shape()[i]) cut.push_back(static_cast<int64_t>(i));
  }
  return dims::aligned(x, cut, result);
}

void check_starts(const char* operation, Inputs starts, const Tensor& x) {
  if (starts.size() != x.rank()) {
    fail<ShapeError>("{}: expected one start per dimension of {}, got {}", operation, type_of(x),
                     starts.size());
  }
  for (const Tensor& start : starts) {
    if (start.rank() != 0 || !is_integer(start.dtype())) {
      fail<DTypeError>("{}: starts must be zero-dimensional integers, got {}", operation,
                       type_of(start));
    }
  }
}

void check_slice_sizes(const char* operation, const Shape& sizes, const Tensor& x) {
  bool fits = sizes.size() == x.rank();
  for (size_t i = 0; fits && i < sizes.size(); ++i)
    fits = 0 <= sizes[i] && sizes[i] <= x.shape()[i];
  if (!fits) {
    fail<ShapeError>("{}: a slice of sizes {} does not fit into {}", operation, to_string(sizes),
                     type_of(x));
  }
}

TypeList infer_dynamic_slice(const DynamicSliceParams& p, Inputs x) {
  check_starts("dynamic_slice", x.subspan(1), x[0]);
  check_slice_sizes("dynamic_slice", p.sizes, x[0]);
  return {{x[0].dtype(), p.sizes, x[0].weak(), x[0].device()}};
}

TensorList starts_of(Inputs operands, size_t first) {
  return TensorList(operands.begin() + static_cast<int64_t>(first), operands.end());
}

Tensor dynamic_slice_with(const Tensor& x, const TensorList& starts, const Shape& sizes) {
  TensorList operands{x};
  operands.insert(operands.end(), starts.begin(), starts.end());
  return emit_one(dynamic_slice_primitive(), operands, DynamicSliceParams{sizes});
}

Tensor dynamic_update_slice_with(const Tensor& x, const Tensor& update, const TensorList& starts) {
  TensorList operands{x, update};
  operands.insert(operands.end(), starts.begin(), starts.end());
  return emit_one(dynamic_update_slice_primitive(), operands, DynamicUpdateSliceParams{});
}

TensorList transpose_dynamic_slice(const DynamicSliceParams&, Inputs x, const Tensor& ct) {
  TensorList out(x.size());
  out[0] = dynamic_update_slice_with(zeros(x[0].shape(), ct.dtype()), ct, starts_of(x, 1));
  return out;
}

bool any_batched(const BatchedInputs& in, size_t first) {
  return std::any_of(in.batched.begin() + static_cast<int64_t>(first), in.batched.end(),
                     [](uint8_t b) { return b != 0; });
}

TensorList with_zero_start(const TensorList& starts) {
  TensorList out = starts;
  out.insert(out.begin(), scalar_integer(0, starts.empty() ? DType::kI32 : starts[0].dtype()));
  return out;
}

/// Starts of every batch entry: [batch, rank].
Tensor stacked_starts(const BatchedInputs& in, size_t first) {
  TensorList columns;
  for (size_t i = first; i < in.x.size(); ++i) columns.push_back(batched_operand(in, i));
  return stack(columns, 1);
}

/// Dimensions of which `part` is all belong together; starts have none.
DimMap part_dims(Inputs x, const Shape& part, size_t tensors, const Shape& result) {
  Axes cut;
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] != x[0].shape()[i]) cut.push_back(static_cast<int64_t>(i));
  }
  DimMap map = dims::aligned(x.first(tensors), cut, result);
  map.operands.resize(x.size());
  return map;
}

DimMap dynamic_slice_dims(const DynamicSliceParams& p, Inputs x) {
  return part_dims(x, p.sizes, 1, p.sizes);
}
DimMap dynamic_update_slice_dims(const DynamicUpdateSliceParams&, Inputs x) {
  return part_dims(x, x[1].shape(), 2, x[0].shape());
}

TensorList batch_dynamic_slice(const DynamicSliceParams& p, const BatchedInputs& in) {
  const size_t rank = p.sizes.size();
  if (!any_batched(in, 1)) {
    return {dynamic_slice_with(in.x[0], with_zero_start(starts_of(in.x, 1)),
                               with_batch(p.sizes, in.size))};
  }
  GatherDims dims;
  dims.offset_dims = shifted(all_axes(rank));
  Shape sizes = p.sizes;
  if (in.batched[0]) {
    dims.start_index_map = shifted(all_axes(rank));
    dims.operand_batching_dims = dims.indices_batching_dims = {0};
    sizes = with_batch(sizes, 1);
  } else {
    dims.start_index_map = all_axes(rank);
  }
  return {gather(in.x[0], stacked_starts(in, 1), dims, sizes, GatherMode::kClip)};
}

TypeList infer_dynamic_update_slice(const DynamicUpdateSliceParams&, Inputs x) {
  check_starts("dynamic_update_slice", x.subspan(2), x[0]);
  check_slice_sizes("dynamic_update_slice", x[1].shape(), x[0]);
  if (x[1].dtype() != x[0].dtype()) {
    fail<DTypeError>("dynamic_update_slice: {} cannot be written into {}", type_of(x[1]),
                     type_of(x[0]));
  }
  return {{x[0].dtype(), x[0].shape(), x[0].weak() && x[1].weak(), x[0].device()}};
}

TensorList transpose_dynamic_update_slice(const DynamicUpdateSliceParams&, Inputs x,
                                          const Tensor& ct) {
  const TensorList starts = starts_of(x, 2);
  TensorList out(x.size());
  out[0] = dynamic_update_slice_with(ct, zeros(x[1].shape(), ct.dtype()), starts);
  out[1] = dynamic_slice_with(ct, starts, x[1].shape());
  return out;
}

TensorList batch_dynamic_update_slice(const DynamicUpdateSliceParams&, const BatchedInputs& in) {
  const size_t rank = in.x.size() - 2;
  const Tensor x = batched_operand(in, 0), update = batched_operand(in, 1);
  if (!any_batched(in, 2)) {
    return {dynamic_update_slice_with(x, update, with_zero_start(starts_of(in.x, 2)))};
  }
  ScatterDims dims;
  dims.update_window_dims = shifted(all_axes(rank));
  dims.scatter_dims_to_operand_dims = shifted(all_axes(rank));
  dims.operand_batching_dims = dims.indices_batching_dims = {0};
  return {scatter(x, stacked_starts(in, 2), update, dims, ScatterMode::kClip)};
}

/// Negative starts count from the end; constants are resolved here, computed ones by operations.
Tensor wrapped_start(const Tensor& start, int64_t size, DType dtype) {
  if (start.rank() != 0 || !is_integer(start.dtype())) {
    fail<DTypeError>("dynamic_slice: starts must be zero-dimensional integers, got {}",
                     type_of(start));
  }
  if (!start.traced()) {
    if (is_unsigned_integer(start.dtype())) return astype(start, dtype);
    const int64_t value = start.item<int64_t>();
    return scalar_integer(value < 0 ? value + size : value, dtype);
  }
  const Tensor typed = start.dtype() == dtype ? start : astype(start, dtype);
  if (is_unsigned_integer(start.dtype())) return typed;
  return where(typed < 0, typed + size, typed);
}

TensorList wrapped_starts(const char* operation, const Tensor& x, const TensorList& starts) {
  if (starts.size() != x.rank()) {
    fail<ShapeError>("{}: expected one start per dimension of {}, got {}", operation, type_of(x),
                     starts.size());
  }
  const bool wide =
      std::any_of(starts.begin(), starts.end(),
                  [](const Tensor& start) {
                    return size_of(start.dtype()) == 8 || start.dtype() == DType::kU32;
                  }) ||
      std::any_of(x.shape().begin(), x.shape().end(),
                  [](int64_t size) { return size > std::numeric_limits<int32_t>::max(); });
  TensorList out;
  for (size_t i = 0; i < starts.size(); ++i) {
    out.push_back(wrapped_start(starts[i], x.shape()[i], wide ? DType::kI64 : DType::kI32));
  }
  return out;
}

int64_t wrapped_once(int64_t index, int64_t size) { return index < 0 ? index + size : index; }

}  // namespace

const Primitive& slice_primitive() {
  static const Primitive& p = define(LinearMap<SliceParams>{.name = "slice",
                                                            .infer = infer_slice,
                                                            .transpose = transpose_slice,
                                                            .dims = slice_dims,
                                                            .view = slice_view,
                                                            .complex = true});
  return p;
}

const Primitive& dynamic_slice_primitive() {
  static const Primitive& p =
      define(LinearMap<DynamicSliceParams>{.name = "dynamic_slice",
                                           .infer = infer_dynamic_slice,
                                           .transpose = transpose_dynamic_slice,
                                           .dims = dynamic_slice_dims,
                                           .batch = batch_dynamic_slice,
                                           .nondifferentiable = ~bits_of({0}),
                                           .complex = true});
  return p;
}

const Primitive& dynamic_update_slice_primitive() {
  static const Primitive& p =
      define(LinearMap<DynamicUpdateSliceParams>{.name = "dynamic_update_slice",
                                                 .infer = infer_dynamic_update_slice,
                                                 .transpose = transpose_dynamic_update_slice,
                                                 .dims = dynamic_update_slice_dims,
                                                 .batch = batch_dynamic_update_slice,
                                                 .nondifferentiable = ~bits_of({0, 1}),
                                                 .complex = true});
  return p;
}

void define_indexing() {
  slice_primitive();
  dynamic_slice_primitive();
  dynamic_update_slice_primitive();
  gather_primitive();
  scatter_add_primitive();
  scatter_primitive();
  scatter_mul_primitive();
  scatter_min_primitive();
  scatter_max_primitive();
}

Tensor slice(const Tensor& x, const std::vector<int64_t>& start, const std::vector<int64_t>& stop,
             const std::vector<int64_t>& strides) {
  SliceParams params{start, stop, strides.empty() ? Shape(x.rank(), 1) : Shape(strides)};
  const bool all_given = params.start.size() == x.rank() && params.stop.size() == x.rank();
  for (size_t i = 0; all_given && i < x.rank(); ++i) {
    params.start[i] = wrapped_once(params.start[i], x.shape()[i]);
    params.stop[i] = wrapped_once(params.stop[i], x.shape()[i]);
    // Steps beyond the end are as good as one to the end, and can be computed with.
    if (i < params.strides.size())
      params.strides[i] = std::min(params.strides[i], std::max<int64_t>(x.shape()[i], 1));
  }
  if (infer_slice(params, Inputs(&x, 1))[0].shape == x.shape()) return x;
  return emit_one(slice_primitive(), {x}, params);
}

Tensor slice_axis(const Tensor& x, int64_t start, int64_t stop, int64_t axis) {
  const int64_t along = normalize_axis(axis, x.rank(), "slice_axis");
  const int64_t size = x.shape()[along];
  const int64_t from = wrapped_once(start, size), to = wrapped_once(stop, size);
  if (from < 0 || from > to || to > size) {
    fail<ShapeError>("slice_axis: {} to {} does not lie within axis {} of {}", start, stop, along,
                     type_of(x));
  }
  if (from == 0 && to == size) return x;
  SliceParams params{Shape(x.rank(), 0), x.shape(), Shape(x.rank(), 1)};
  params.start[along] = from;
  params.stop[along] = to;
  return emit_one(slice_primitive(), {x}, params);
}

Tensor index_axis(const Tensor& x, int64_t index, int64_t axis) {
  const int64_t along = normalize_axis(axis, x.rank(), "index_axis");
  const int64_t size = x.shape()[along];
  const int64_t at = wrapped_once(index, size);
  if (at < 0 || at >= size) {
    fail<ShapeError>("index_axis: index {} is out of range for axis {} of {}; expected {} to {}",
                     index, along, type_of(x), -size, size - 1);
  }
  Shape shape = x.shape();
  shape.erase(static_cast<size_t>(along));
  return reshape(slice_axis(x, at, at + 1, along), shape);
}

Tensor dynamic_slice(const Tensor& x, const std::vector<Tensor>& starts, const Shape& sizes) {
  return dynamic_slice_with(x, wrapped_starts("dynamic_slice", x, starts), sizes);
}

Tensor dynamic_update_slice(const Tensor& x, const Tensor& update,
                            const std::vector<Tensor>& starts) {
  const Tensor typed = update.dtype() == x.dtype() ? update : astype(update, x.dtype());
  return dynamic_update_slice_with(x, typed, wrapped_starts("dynamic_update_slice", x, starts));
}

}  // namespace linnet
