// Joining, splitting, repeating and padding.
#include <array>

#include "core/ops/dims.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/checked_size.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

int64_t padded_size(int64_t size, const PadDim& d) {
  check_extents("pad", "edges and interior", std::array{d.low, d.high, d.interior});
  const CheckedSize spread = (CheckedSize("pad", d.interior) + 1) * std::max<int64_t>(size - 1, 0);
  return (spread + d.low + d.high + std::min<int64_t>(size, 1)).value();
}

TypeList infer_pad(const PadParams& p, Inputs x) {
  TensorType type = x[0].type();
  if (p.padding.size() != type.shape.size()) {
    fail<ShapeError>("pad: expected one padding entry per dimension of {}, got {}", type_of(x[0]),
                     p.padding.size());
  }
  if (x.size() == 2 && (x[1].rank() != 0 || x[1].dtype() != type.dtype)) {
    fail<DTypeError>("pad: the value must be {}, got {}", type_string(type.dtype, {}),
                     type_of(x[1]));
  }
  for (size_t i = 0; i < p.padding.size(); ++i) {
    const int64_t size = padded_size(type.shape[i], p.padding[i]);
    if (p.padding[i].interior < 0 || size < 0) {
      fail<ShapeError>(
          "pad: padding (low {}, high {}, interior {}) of dimension {} does not fit {}",
          p.padding[i].low, p.padding[i].high, p.padding[i].interior, i, type_of(x[0]));
    }
    type.shape[i] = size;
  }
  checked_element_count("pad", type.shape);
  return {type};
}

/// The elements of `ct` that came from the operand; zero where the operand was cropped.
Tensor operand_part(const PadParams& p, const Shape& shape, const Tensor& ct) {
  std::vector<PadDim> crop;
  std::vector<int64_t> start, stop, strides;
  bool strided = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return zeros(shape, ct.dtype());
    crop.push_back({-p.padding[i].low, -p.padding[i].high, 0});
    start.push_back(0);
    strides.push_back(p.padding[i].interior + 1);
    stop.push_back((shape[i] - 1) * strides.back() + 1);
    strided |= p.padding[i].interior != 0;
  }
  const Tensor cropped = pad(ct, crop);
  return strided ? slice(cropped, start, stop, strides) : cropped;
}

TensorList transpose_pad(const PadParams& p, Inputs x, const Tensor& ct) {
  const Tensor ct_x = operand_part(p, x[0].shape(), ct);
  if (x.size() == 1) return {ct_x};
  // What went to the value is counted by masking, which is exact; a difference of sums is not.
  const Tensor padding = pad(zeros(x[0].shape(), DType::kBool), p.padding, ones({}, DType::kBool));
  return {ct_x, sum(where(padding, ct, zeros_like(ct)))};
}

DimMap pad_dims(const PadParams& p, Inputs x) {
  Axes padded;
  for (size_t i = 0; i < p.padding.size(); ++i) {
    if (p.padding[i] != PadDim{}) padded.push_back(static_cast<int64_t>(i));
  }
  DimMap map = dims::aligned(x.first(1), padded, infer_pad(p, x)[0].shape);
  if (x.size() == 2) map.operands.push_back({});
  return map;
}

TensorList batch_pad(const PadParams& p, const BatchedInputs& in) {
  PadParams shifted_params = p;
  shifted_params.padding.insert(shifted_params.padding.begin(), PadDim{});
  const Tensor x = batched_operand(in, 0);
  if (in.x.size() == 1) return emit(pad_primitive(), {x}, shifted_params);
  if (!in.batched[1]) return emit(pad_primitive(), {x, in.x[1]}, shifted_params);
  const Tensor padded = emit_one(pad_primitive(), {x}, shifted_params);
  Shape element = x.shape();
  element.erase(0);
  const Tensor padding = pad(zeros(element, DType::kBool), p.padding, ones({}, DType::kBool));
  return {where(padding, broadcast_in_dim(in.x[1], padded.shape(), {0}), padded)};
}

/// Parts converted to their common dtype, weak only if all are.
TensorList promoted(const char* operation, const std::vector<Tensor>& parts) {
  if (parts.empty()) fail<ValueError>("{}: expected at least one tensor, got none", operation);
  WeakDType common{parts[0].dtype(), parts[0].weak()};
  for (const Tensor& part : parts)
    common = promote_types(common, WeakDType{part.dtype(), part.weak()});
  TensorList out;
  for (const Tensor& part : parts) {
    out.push_back(part.dtype() == common.dtype ? part : astype(part, common.dtype));
  }
  return out;
}

bool is_zero_constant(const Tensor& value) {
  if (value.traced() || !value.device().host()) return false;
  return !value.item<bool>();
}

}  // namespace

const Primitive& pad_primitive() {
  static const Primitive& p = define(LinearMap<PadParams>{.name = "pad",
                                                          .infer = infer_pad,
                                                          .transpose = transpose_pad,
                                                          .dims = pad_dims,
                                                          .batch = batch_pad,
                                                          .complex = true});
  return p;
}

Tensor pad(const Tensor& x, const std::vector<PadDim>& padding, const Tensor& value) {
  const PadParams params{padding};
  infer_pad(params, Inputs(&x, 1));
  if (std::all_of(padding.begin(), padding.end(), [](const PadDim& d) { return d == PadDim{}; })) {
    return x;
  }
  if (value.rank() != 0) {
    fail<ShapeError>("pad: the value must be zero-dimensional, got {}", type_of(value));
  }
  if (is_zero_constant(value)) return emit_one(pad_primitive(), {x}, params);
  const Tensor typed = value.dtype() == x.dtype() ? value : astype(value, x.dtype());
  return emit_one(pad_primitive(), {x, typed}, params);
}

Tensor concatenate(const std::vector<Tensor>& parts, int64_t axis) {
  const TensorList operands = promoted("concatenate", parts);
  if (operands[0].rank() == 0) {
    fail<ShapeError>("concatenate: parts need at least one dimension, got {}\n  hint: use stack",
                     type_of(operands[0]));
  }
  const ConcatenateParams params{normalize_axis(axis, operands[0].rank(), "concatenate")};
  if (operands.size() == 1) return operands[0];
  return emit_one(concatenate_primitive(), operands, params);
}

Tensor stack(const std::vector<Tensor>& parts, int64_t axis) {
  if (parts.empty()) fail<ValueError>("stack: expected at least one tensor, got none");
  const int64_t position = normalize_axis(axis, parts[0].rank() + 1, "stack");
  TensorList expanded;
  for (const Tensor& part : parts) {
    if (part.shape() != parts[0].shape()) {
      fail<ShapeError>("stack: parts must have one shape, got {} and {}", type_of(parts[0]),
                       type_of(part));
    }
    expanded.push_back(expand_dims(part, position));
  }
  return concatenate(expanded, position);
}

namespace {

TensorList decompose_split(const SplitParams& p, Inputs x) {
  TensorList out;
  int64_t start = 0;
  for (const int64_t size : p.sizes) {
    out.push_back(slice_axis(x[0], start, start + size, p.axis));
    start += size;
  }
  return out;
}

TypeList infer_split(const SplitParams& p, Inputs x) {
  expect_operands("split", 1, x);
  TypeList out;
  for (const int64_t size : p.sizes) {
    out.push_back(x[0].type());
    out.back().shape[p.axis] = size;
  }
  return out;
}

/// Where an index is below the one before it: empty there, and what follows begins at that index.
TensorList overlapping_parts(const Tensor& x, const std::vector<int64_t>& indices, int64_t axis) {
  const int64_t size = x.shape()[axis];
  TensorList out;
  int64_t start = 0;
  for (size_t i = 0; i <= indices.size(); ++i) {
    int64_t stop = i < indices.size() ? indices[i] : size;
    if (stop < 0) stop += size;
    stop = std::clamp<int64_t>(stop, 0, size);
    out.push_back(slice_axis(x, std::min(start, stop), stop, axis));
    start = stop;
  }
  return out;
}

/// The parts side by side again, where slices would each be padded and added.
TensorList split_vjp(const SplitParams& p, Inputs x, Outputs, Inputs cts) {
  const TypeList types = infer_split(p, x);
  TensorList parts;
  for (size_t k = 0; k < types.size(); ++k) parts.push_back(defined_or_zeros(cts[k], types[k]));
  return {concatenate(parts, p.axis)};
}

}  // namespace

const Primitive& split_primitive() {
  static const Primitive& p = define(Composite<SplitParams>{.name = "split",
                                                            .decompose = decompose_split,
                                                            .infer = infer_split,
                                                            .vjp = split_vjp,
                                                            .saves_inputs = 0,
                                                            .saves_outputs = 0,
                                                            .complex = true});
  return p;
}

std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& indices, int64_t axis) {
  const int64_t along = normalize_axis(axis, x.rank(), "split");
  const int64_t size = x.shape()[along];
  SplitParams params{along, {}};
  int64_t start = 0;
  for (size_t i = 0; i <= indices.size(); ++i) {
    int64_t stop = i < indices.size() ? indices[i] : size;
    if (stop < 0) stop += size;
    stop = std::clamp<int64_t>(stop, 0, size);
    // Indices that go back give slices that overlap.
    if (stop < start) return overlapping_parts(x, indices, along);
    params.sizes.push_back(stop - start);
    start = stop;
  }
  return emit(split_primitive(), {x}, params);
}

std::vector<Tensor> split(const Tensor& x, int64_t sections, int64_t axis) {
  const int64_t along = normalize_axis(axis, x.rank(), "split");
  const int64_t size = x.shape()[along];
  if (sections < 1 || size % sections != 0) {
    fail<ShapeError>("split: axis {} of {} does not divide into {} equal sections", along,
                     type_of(x), sections);
  }
  std::vector<int64_t> indices;
  for (int64_t i = 1; i < sections; ++i) indices.push_back(i * (size / sections));
  return split(x, indices, along);
}

Tensor tile(const Tensor& x, const Shape& repeats) {
  const size_t rank = std::max(x.rank(), repeats.size());
  Shape from = x.shape(), counts = repeats;
  while (from.size() < rank) from.insert(0, 1);
  while (counts.size() < rank) counts.insert(0, 1);
  Shape expanded, merged;
  Axes dimensions;
  for (size_t i = 0; i < rank; ++i) {
    if (counts[i] < 0) {
      fail<ShapeError>("tile: repeats must not be negative, got {}", to_string(repeats));
    }
    expanded.push_back(counts[i]);
    expanded.push_back(from[i]);
    dimensions.push_back(static_cast<int64_t>(2 * i + 1));
    merged.push_back((CheckedSize("tile", counts[i]) * from[i]).value());
  }
  checked_element_count("tile", merged);
  return reshape(broadcast_in_dim(reshape(x, from), expanded, dimensions), merged);
}

Tensor repeat(const Tensor& x, int64_t repeats, int64_t axis) {
  const int64_t along = normalize_axis(axis, x.rank(), "repeat");
  if (repeats < 0) fail<ShapeError>("repeat: the count must not be negative, got {}", repeats);
  Shape expanded = x.shape(), merged = x.shape();
  expanded.insert(static_cast<size_t>(along) + 1, repeats);
  merged[along] = (CheckedSize("repeat", merged[along]) * repeats).value();
  checked_element_count("repeat", merged);
  Axes dimensions = all_axes(x.rank() + 1);
  dimensions.erase(static_cast<size_t>(along) + 1);
  return reshape(broadcast_in_dim(x, expanded, dimensions), merged);
}

Tensor roll(const Tensor& x, int64_t shift, int64_t axis) {
  const int64_t along = normalize_axis(axis, x.rank(), "roll");
  const int64_t size = x.shape()[along];
  if (size == 0) return x;
  const int64_t cut = (size - shift % size) % size;
  if (cut == 0) return x;
  return concatenate({slice_axis(x, cut, size, along), slice_axis(x, 0, cut, along)}, along);
}

}  // namespace linnet
