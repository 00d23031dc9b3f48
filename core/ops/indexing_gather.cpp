// Gather, scatter and what is built from them.
#include <limits>

#include "core/ops/elementwise.h"
#include "core/ops/indexing.h"
#include "core/ops/indexing_scatter.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/checked_size.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

bool contains(const Axes& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

/// Strictly ascending and within 0 … rank - 1.
bool ascending(const Axes& axes, size_t rank) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= static_cast<int64_t>(rank)) return false;
    if (i > 0 && axes[i] <= axes[i - 1]) return false;
  }
  return true;
}

void check_indices(const char* operation, const Tensor& indices, size_t vector_length) {
  if (!is_integer(indices.dtype())) {
    fail<DTypeError>("{}: indices must be integers, got {}", operation, type_of(indices));
  }
  if (indices.rank() == 0 || indices.shape().back() != static_cast<int64_t>(vector_length)) {
    fail<ShapeError>(
        "{}: the last dimension of the indices must hold {} entries, one per indexed dimension, "
        "got "
        "{}",
        operation, vector_length, type_of(indices));
  }
}

/// Batching dimensions come in pairs of equal size.
void check_batching(const char* operation, const Axes& of_operand, const Axes& of_indices,
                    const Tensor& x, const Tensor& indices) {
  bool fits = of_operand.size() == of_indices.size() && ascending(of_operand, x.rank());
  for (size_t i = 0; fits && i < of_indices.size(); ++i) {
    const int64_t d = of_indices[i];
    fits = d >= 0 && d + 1 < static_cast<int64_t>(indices.rank()) &&
           indices.shape()[d] == x.shape()[of_operand[i]];
  }
  if (!fits) {
    fail<ShapeError>("{}: batching dimensions {} of {} and {} of the indices {} do not pair up",
                     operation, to_string(of_operand), type_of(x), to_string(of_indices),
                     type_of(indices));
  }
}

/// How many windows the indices address, along each of their dimensions but the last.
Shape index_rows(const Tensor& indices) {
  return Shape(indices.shape().begin(), indices.shape().end() - 1);
}

TypeList infer_gather(const GatherParams& p, Inputs x) {
  return {{x[0].dtype(), gather_shape(p, x[0], x[1]), x[0].weak(), x[0].device()}};
}

ScatterDims as_scatter(const GatherParams& p) {
  return {p.offset_dims, p.collapsed_slice_dims, p.start_index_map, p.operand_batching_dims,
          p.indices_batching_dims};
}

ScatterMode scatter_mode(GatherMode mode) {
  return mode == GatherMode::kFill   ? ScatterMode::kDrop
         : mode == GatherMode::kClip ? ScatterMode::kClip
                                     : ScatterMode::kPromiseInBounds;
}

GatherMode gather_mode(ScatterMode mode) {
  return mode == ScatterMode::kDrop   ? GatherMode::kFill
         : mode == ScatterMode::kClip ? GatherMode::kClip
                                      : GatherMode::kPromiseInBounds;
}

TensorList vjp_gather(const GatherParams& p, Inputs x, Outputs, Inputs cts) {
  const Tensor zero = zeros(x[0].shape(), cts[0].dtype());
  return {scatter_add(zero, x[1], cts[0], as_scatter(p), scatter_mode(p.mode)), Tensor()};
}

TensorList jvp_gather(const GatherParams& p, Inputs x, Outputs, Inputs tangents) {
  if (!tangents[0].defined()) return {Tensor()};
  GatherParams q = p;
  q.zero_fill = true;
  return emit(gather_primitive(), {tangents[0], x[1]}, q);
}

/// What a gather's operand, indices and windows share; a scatter's likewise, with the updates in
/// the place of the result. Batching dimensions and those that windows hold whole pass; with
/// `indices_pass` the dimensions of the indices do, too.
struct WindowFactors {
  TensorFactors operand, indices, windows;
};
WindowFactors window_factors(DimMap& map, const ScatterDims& d, const Tensor& x,
                             const Tensor& indices, const Shape& windows, bool indices_pass) {
  WindowFactors out{TensorFactors(x.rank()), TensorFactors(indices.rank()),
                    TensorFactors(windows.size())};
  for (size_t i = 0; i < d.operand_batching_dims.size(); ++i) {
    const int64_t axis = d.operand_batching_dims[i];
    out.operand[axis] = {map.add(x.shape()[axis])};
    out.indices[d.indices_batching_dims[i]] = out.operand[axis];
  }
  const auto kind = indices_pass ? FactorKind::kPass : FactorKind::kWhole;
  for (size_t i = 0; i < indices.rank(); ++i) {
    if (!out.indices[i].empty()) continue;
    const bool vector = i + 1 == indices.rank();
    out.indices[i] = {map.add(indices.shape()[i], vector ? FactorKind::kWhole : kind)};
  }
  size_t next_window = 0;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (!out.operand[i].empty()) continue;
    const int64_t axis = static_cast<int64_t>(i), size = x.shape()[i];
    const bool single = contains(d.inserted_window_dims, axis);
    const int64_t at = single ? -1 : d.update_window_dims[next_window++];
    const bool all = !single && windows[at] == size;
    out.operand[i] = {map.add(size, all ? FactorKind::kPass : FactorKind::kWhole)};
    if (!single)
      out.windows[at] =
          all ? out.operand[i] : std::vector<int64_t>{map.add(windows[at], FactorKind::kWhole)};
  }
  size_t next_index = 0;
  for (auto& factors : out.windows) {
    if (factors.empty()) factors = out.indices[next_index++];
  }
  return out;
}

DimMap gather_dims(const GatherParams& p, Inputs x) {
  DimMap map;
  WindowFactors f =
      window_factors(map, as_scatter(p), x[0], x[1], gather_shape(p, x[0], x[1]), true);
  map.operands = {std::move(f.operand), std::move(f.indices)};
  map.results = {std::move(f.windows)};
  return map;
}

Axes with_leading_batch(const Axes& axes) {
  Axes out = shifted(axes);
  out.insert(0, 0);
  return out;
}

TensorList batch_gather(const GatherParams& p, const BatchedInputs& in) {
  GatherParams q = p;
  if (in.batched[0]) {
    q.collapsed_slice_dims = shifted(p.collapsed_slice_dims);
    q.start_index_map = shifted(p.start_index_map);
    q.operand_batching_dims = shifted(p.operand_batching_dims);
    q.slice_sizes = with_batch(p.slice_sizes, in.batched[1] ? 1 : in.size);
  }
  if (in.batched[1]) {
    q.offset_dims = shifted(p.offset_dims);
    q.indices_batching_dims = shifted(p.indices_batching_dims);
  } else {
    q.offset_dims = with_leading_batch(p.offset_dims);
  }
  if (in.batched[0] && in.batched[1]) {
    q.operand_batching_dims = with_leading_batch(p.operand_batching_dims);
    q.indices_batching_dims = with_leading_batch(p.indices_batching_dims);
  }
  return emit(gather_primitive(), {in.x[0], in.x[1]}, q);
}

Tensor emit_scatter(const Primitive& primitive, const Tensor& x, const Tensor& indices,
                    const Tensor& updates, const ScatterParams& p) {
  return emit_one(primitive, {x, indices, updates}, p);
}

TensorList transpose_scatter_add(const ScatterParams& p, Inputs x, const Tensor& ct) {
  return {ct, Tensor(), read_windows(p, ct, x[1], x[2].shape())};
}

/// Only the update that was written last has a derivative: numbering the updates and scattering the
/// numbers tells which one that was.
TensorList transpose_scatter(const ScatterParams& p, Inputs x, const Tensor& ct) {
  const Shape& shape = x[2].shape();
  const Tensor ct_x = emit_scatter(scatter_primitive(), ct, x[1], zeros(shape, ct.dtype()), p);
  const int64_t count = element_count(shape);
  const DType number = count < (int64_t{1} << 31) ? DType::kI32 : DType::kI64;
  const Tensor numbers = reshape(iota(number, {count}), shape);
  const Tensor winners =
      emit_scatter(scatter_primitive(), zeros(x[0].shape(), number), x[1], numbers, p);
  const Tensor written = equal(read_windows(p, winners, x[1], shape), numbers);
  const Tensor read = read_windows(p, ct, x[1], shape);
  return {ct_x, Tensor(), where(written, read, zeros_like(read))};
}

/// Negative indices count from the end, once. Constant indices without negatives stay as they are.
Tensor wrapped_indices(const char* operation, const Tensor& indices, int64_t size) {
  if (!is_integer(indices.dtype())) {
    fail<DTypeError>("{}: indices must be integers, got {}", operation, type_of(indices));
  }
  if (is_unsigned_integer(indices.dtype())) return indices;
  if (!indices.traced() && indices.device().host()) {
    const std::vector<int64_t> values = indices.to_vector<int64_t>();
    if (std::all_of(values.begin(), values.end(), [](int64_t i) { return i >= 0; })) return indices;
  }
  // Narrow index types may not hold the size.
  const DType needed = size > std::numeric_limits<int32_t>::max() ? DType::kI64 : DType::kI32;
  const Tensor wide =
      size_of(indices.dtype()) < size_of(needed) ? astype(indices, needed) : indices;
  return where(wide < 0, wide + size, wide);
}

/// Dimension numbers for rows of `x` along axis 0 addressed by `indices`.
ScatterDims row_dims(const Tensor& x, const Tensor& indices) {
  ScatterDims dims;
  for (size_t i = 1; i < x.rank(); ++i) {
    dims.update_window_dims.push_back(static_cast<int64_t>(indices.rank() + i) - 1);
  }
  dims.inserted_window_dims = {0};
  dims.scatter_dims_to_operand_dims = {0};
  return dims;
}

}  // namespace

DimMap scatter_dims(const ScatterParams& p, Inputs x) {
  DimMap map;
  const ScatterDims dims{p.update_window_dims, p.inserted_window_dims,
                         p.scatter_dims_to_operand_dims, p.operand_batching_dims,
                         p.indices_batching_dims};
  WindowFactors f = window_factors(map, dims, x[0], x[1], x[2].shape(), false);
  map.results = {f.operand};
  map.operands = {std::move(f.operand), std::move(f.indices), std::move(f.windows)};
  return map;
}

TypeList infer_scatter(const char* operation, const ScatterParams& p, Inputs x) {
  check_scatter(operation, p, x[0], x[1], x[2]);
  return {{x[0].dtype(), x[0].shape(), x[0].weak() && x[2].weak(), x[0].device()}};
}

Tensor read_windows(const ScatterParams& p, const Tensor& x, const Tensor& indices,
                    const Shape& updates) {
  if (x.size() == 0) return zeros(updates, x.dtype());  // every window was dropped
  Shape sizes;
  size_t window = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(x.rank()); ++i) {
    const bool single = contains(p.inserted_window_dims, i) || contains(p.operand_batching_dims, i);
    sizes.push_back(single ? 1 : updates[p.update_window_dims[window++]]);
  }
  const GatherParams q{p.update_window_dims,
                       p.inserted_window_dims,
                       p.scatter_dims_to_operand_dims,
                       p.operand_batching_dims,
                       p.indices_batching_dims,
                       sizes,
                       gather_mode(p.mode),
                       true};
  return emit_one(gather_primitive(), {x, indices}, q);
}

TensorList batch_scatter(const Primitive& primitive, const ScatterParams& p,
                         const BatchedInputs& in) {
  ScatterParams q = p;
  q.inserted_window_dims = shifted(p.inserted_window_dims);
  q.scatter_dims_to_operand_dims = shifted(p.scatter_dims_to_operand_dims);
  if (in.batched[1]) {
    q.update_window_dims = shifted(p.update_window_dims);
    q.operand_batching_dims = with_leading_batch(p.operand_batching_dims);
    q.indices_batching_dims = with_leading_batch(p.indices_batching_dims);
  } else {
    q.update_window_dims = with_leading_batch(p.update_window_dims);
    q.operand_batching_dims = shifted(p.operand_batching_dims);
  }
  return emit(primitive, {batched_operand(in, 0), in.x[1], batched_operand(in, 2)}, q);
}

RowUpdate row_update(const char* operation, const Tensor& x, const Tensor& indices,
                     const Tensor& values) {
  if (x.rank() == 0) {
    fail<ShapeError>("{}: {} has no axis to index", operation, type_of(x));
  }
  Shape shape = indices.shape();
  shape.append(x.shape().begin() + 1, x.shape().end());
  const Tensor typed = values.dtype() == x.dtype() ? values : astype(values, x.dtype());
  return {expand_dims(beside(wrapped_indices(operation, indices, x.shape()[0]), x), -1),
          broadcast_to(beside(typed, x), shape), row_dims(x, indices)};
}

Shape gather_shape(const GatherParams& p, const Tensor& x, const Tensor& indices) {
  check_indices("gather", indices, p.start_index_map.size());
  check_batching("gather", p.operand_batching_dims, p.indices_batching_dims, x, indices);
  Shape window;
  bool fits = p.slice_sizes.size() == x.rank() && ascending(p.collapsed_slice_dims, x.rank());
  bool nothing_read = element_count(index_rows(indices)) == 0;
  for (int64_t i = 0; fits && i < static_cast<int64_t>(x.rank()); ++i) {
    const bool collapsed = contains(p.collapsed_slice_dims, i);
    const bool batching = contains(p.operand_batching_dims, i);
    if (!collapsed && !batching) window.push_back(p.slice_sizes[i]);
    nothing_read |= p.slice_sizes[i] == 0;
  }
  for (int64_t i = 0; fits && i < static_cast<int64_t>(x.rank()); ++i) {
    const int64_t size = p.slice_sizes[i];
    const bool collapsed = contains(p.collapsed_slice_dims, i);
    const bool batching = contains(p.operand_batching_dims, i);
    // Slices of which nothing is read may lie in a dimension without elements.
    fits = size >= 0 && (size <= x.shape()[i] || nothing_read) && !(collapsed && batching) &&
           (size == 1 || !(collapsed || batching));
  }
  for (size_t i = 0; fits && i < p.start_index_map.size(); ++i) {
    const int64_t d = p.start_index_map[i];
    fits = d >= 0 && d < static_cast<int64_t>(x.rank()) && !contains(p.operand_batching_dims, d);
  }
  const size_t rank = window.size() + indices.rank() - 1;
  fits = fits && window.size() == p.offset_dims.size() && ascending(p.offset_dims, rank);
  if (!fits) {
    fail<ShapeError>(
        "gather: slices {} of {} do not fit the dimension numbers offset {}, collapsed {}, start "
        "map "
        "{}, operand batching {}",
        to_string(p.slice_sizes), type_of(x), to_string(p.offset_dims),
        to_string(p.collapsed_slice_dims), to_string(p.start_index_map),
        to_string(p.operand_batching_dims));
  }
  Shape out;
  size_t next_window = 0, next_index = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(rank); ++i) {
    out.push_back(contains(p.offset_dims, i) ? window[next_window++]
                                             : indices.shape()[next_index++]);
  }
  checked_element_count("gather", out);
  return out;
}

void check_scatter(const char* operation, const ScatterParams& p, const Tensor& x,
                   const Tensor& indices, const Tensor& updates) {
  check_indices(operation, indices, p.scatter_dims_to_operand_dims.size());
  check_batching(operation, p.operand_batching_dims, p.indices_batching_dims, x, indices);
  if (updates.dtype() != x.dtype()) {
    fail<DTypeError>("{}: updates {} must have the dtype of {}", operation, type_of(updates),
                     type_of(x));
  }
  bool fits = ascending(p.update_window_dims, updates.rank()) &&
              ascending(p.inserted_window_dims, x.rank()) &&
              p.update_window_dims.size() + p.inserted_window_dims.size() +
                      p.operand_batching_dims.size() ==
                  x.rank() &&
              updates.rank() == p.update_window_dims.size() + indices.rank() - 1;
  size_t next_window = 0, next_index = 0;
  for (int64_t i = 0; fits && i < static_cast<int64_t>(x.rank()); ++i) {
    if (contains(p.inserted_window_dims, i) || contains(p.operand_batching_dims, i)) continue;
    const int64_t size = updates.shape()[p.update_window_dims[next_window++]];
    // Windows that write nothing may lie in a dimension without elements.
    fits = size <= x.shape()[i] || updates.size() == 0;
  }
  for (int64_t i = 0; fits && i < static_cast<int64_t>(updates.rank()); ++i) {
    if (contains(p.update_window_dims, i)) continue;
    fits = updates.shape()[i] == indices.shape()[next_index++];
  }
  for (size_t i = 0; fits && i < p.scatter_dims_to_operand_dims.size(); ++i) {
    const int64_t d = p.scatter_dims_to_operand_dims[i];
    fits = d >= 0 && d < static_cast<int64_t>(x.rank()) && !contains(p.operand_batching_dims, d);
  }
  if (fits) return;
  fail<ShapeError>(
      "{}: updates {} at indices {} do not fit into {} with the dimension numbers update window "
      "{}, "
      "inserted window {}, scatter map {}, operand batching {}",
      operation, type_of(updates), type_of(indices), type_of(x), to_string(p.update_window_dims),
      to_string(p.inserted_window_dims), to_string(p.scatter_dims_to_operand_dims),
      to_string(p.operand_batching_dims));
}

const Primitive& gather_primitive() {
  // Not a linear map: in the fill mode it is affine, as the fill value does not depend on x.
  static const Primitive& p = define(Smooth<GatherParams>{.name = "gather",
                                                          .infer = infer_gather,
                                                          .vjp = vjp_gather,
                                                          .jvp = jvp_gather,
                                                          .dims = gather_dims,
                                                          .batch = batch_gather,
                                                          .nondifferentiable = bits_of({1}),
                                                          .saves_inputs = bits_of({1}),
                                                          .saves_outputs = 0,
                                                          .complex = true});
  return p;
}

const Primitive& scatter_add_primitive() {
  static const Primitive& p = define(LinearMap<ScatterParams>{
      .name = "scatter_add",
      .infer = [](const ScatterParams& q, Inputs x) { return infer_scatter("scatter_add", q, x); },
      .transpose = transpose_scatter_add,
      .dims = scatter_dims,
      .batch =
          [](const ScatterParams& q, const BatchedInputs& in) {
            return batch_scatter(scatter_add_primitive(), q, in);
          },
      .nondifferentiable = bits_of({1}),
      .complex = true});
  return p;
}

const Primitive& scatter_primitive() {
  static const Primitive& p = define(LinearMap<ScatterParams>{
      .name = "scatter",
      .infer = [](const ScatterParams& q, Inputs x) { return infer_scatter("scatter", q, x); },
      .transpose = transpose_scatter,
      .dims = scatter_dims,
      .batch = [](const ScatterParams& q,
                  const BatchedInputs& in) { return batch_scatter(scatter_primitive(), q, in); },
      .nondifferentiable = bits_of({1}),
      .complex = true});
  return p;
}

Tensor gather(const Tensor& x, const Tensor& indices, const GatherDims& dims,
              const Shape& slice_sizes, GatherMode mode) {
  const GatherParams params{dims.offset_dims,
                            dims.collapsed_slice_dims,
                            dims.start_index_map,
                            dims.operand_batching_dims,
                            dims.indices_batching_dims,
                            slice_sizes,
                            mode,
                            false};
  return emit_one(gather_primitive(), {x, indices}, params);
}

Tensor scatter_with(const Primitive& primitive, const Tensor& x, const Tensor& indices,
                    const Tensor& updates, const ScatterDims& dims, ScatterMode mode) {
  const Tensor typed = updates.dtype() == x.dtype() ? updates : astype(updates, x.dtype());
  return emit_scatter(
      primitive, x, indices, typed,
      {dims.update_window_dims, dims.inserted_window_dims, dims.scatter_dims_to_operand_dims,
       dims.operand_batching_dims, dims.indices_batching_dims, mode});
}

Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode) {
  return scatter_with(scatter_add_primitive(), x, indices, updates, dims, mode);
}

Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& updates,
               const ScatterDims& dims, ScatterMode mode) {
  return scatter_with(scatter_primitive(), x, indices, updates, dims, mode);
}

namespace {

/// @throws ShapeError if something is to be read along an axis without elements.
void require_elements(const char* operation, const Tensor& x, int64_t axis, bool something_read) {
  if (x.shape()[axis] > 0 || !something_read) return;
  fail<ShapeError>("{}: axis {} of {} has no elements to take", operation, axis, type_of(x));
}

}  // namespace

Tensor take(const Tensor& x, const Tensor& indices, int64_t axis, GatherMode mode) {
  const int64_t along = normalize_axis(axis, x.rank(), "take");
  GatherDims dims;
  for (int64_t i = 0; i < static_cast<int64_t>(x.rank()); ++i) {
    if (i == along) continue;
    dims.offset_dims.push_back(i < along ? i : i + static_cast<int64_t>(indices.rank()) - 1);
  }
  dims.collapsed_slice_dims = {along};
  dims.start_index_map = {along};
  Shape sizes = x.shape();
  sizes[along] = 1;
  require_elements("take", x, along, indices.size() != 0 && element_count(sizes) != 0);
  // Clipping takes indices as they are: a negative one is the first element's.
  const Tensor wrapped =
      mode == GatherMode::kClip ? indices : wrapped_indices("take", indices, x.shape()[along]);
  return gather(x, expand_dims(beside(wrapped, x), -1), dims, sizes, mode);
}

Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis, GatherMode mode) {
  const int64_t along = normalize_axis(axis, x.rank(), "take_along_axis");
  if (indices.rank() != x.rank()) {
    fail<ShapeError>("take_along_axis: indices {} must have the rank of {}", type_of(indices),
                     type_of(x));
  }
  Shape for_x = x.shape(), for_indices = indices.shape();
  for_x[along] = for_indices[along] = 1;
  Shape common = broadcast_shapes("take_along_axis", for_x, for_indices);
  for_x = for_indices = common;
  for_x[along] = x.shape()[along];
  for_indices[along] = indices.shape()[along];

  require_elements("take_along_axis", x, along, element_count(for_indices) != 0);

  GatherDims dims;
  dims.operand_batching_dims = dims.indices_batching_dims = complement({along}, x.rank());
  dims.collapsed_slice_dims = {along};
  dims.start_index_map = {along};
  const Tensor wrapped = wrapped_indices("take_along_axis", indices, x.shape()[along]);
  return gather(broadcast_to(x, for_x), expand_dims(broadcast_to(wrapped, for_indices), -1), dims,
                Shape(x.rank(), 1), mode);
}

Tensor index_set(const Tensor& x, const Tensor& indices, const Tensor& values) {
  const RowUpdate u = row_update("index_set", x, indices, values);
  return scatter(x, u.indices, u.updates, u.dims);
}

Tensor index_add(const Tensor& x, const Tensor& indices, const Tensor& values) {
  // Sums are taken in the common type and converted once.
  const WeakDType type =
      promote_types(WeakDType{x.dtype(), x.weak()}, WeakDType{values.dtype(), values.weak()});
  const Tensor wide = x.dtype() == type.dtype ? x : astype(x, type.dtype);
  const RowUpdate u = row_update("index_add", wide, indices, values);
  const Tensor total = scatter_add(wide, u.indices, u.updates, u.dims);
  return total.dtype() == x.dtype() ? total : astype(total, x.dtype());
}

}  // namespace linnet
