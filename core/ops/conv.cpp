#include "core/ops/conv.h"

#include "core/ops/conv_training.h"
#include "core/ops/families.h"
#include "core/ops/fused.h"
#include "core/ops/per_dimension.h"
#include "core/tensor/checked_size.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

size_t spatial_rank(const ConvParams& p) { return p.strides.size(); }

Shape spatial_of_activations(const Tensor& x) {
  return Shape(x.shape().begin() + 1, x.shape().end() - 1);
}
Shape spatial_of_kernel(const Tensor& w) { return Shape(w.shape().begin(), w.shape().end() - 2); }

Shape join(const Shape& front, const Shape& middle, const Shape& back) {
  Shape out = front;
  out.append(middle.begin(), middle.end());
  out.append(back.begin(), back.end());
  return out;
}

void check_operands(const char* name, const ConvParams& p, const Tensor& a, const Tensor& b) {
  const size_t rank = spatial_rank(p) + 2;
  if (a.rank() != rank || b.rank() != rank) {
    fail<ShapeError>("{}: expected operands of rank {} for {} spatial dimensions, got {} and {}",
                     name, rank, rank - 2, to_string(a.type()), to_string(b.type()));
  }
  if (a.dtype() != b.dtype()) {
    fail<DTypeError>("{}: dtypes differ: {} and {}", name, to_string(a.type()),
                     to_string(b.type()));
  }
  if (a.dtype() == DType::kBool) {
    fail<DTypeError>("{}: expected a numeric dtype, got {}", name, to_string(a.type()));
  }
}

void expect_spatial(const char* name, const char* what, const Tensor& x, const Shape& got,
                    const Shape& expected) {
  if (got == expected) return;
  fail<ShapeError>("{}: expected {} with spatial sizes {}, got {}", name, what, to_string(expected),
                   to_string(x.type()));
}

void expect_channels(const char* name, const ConvParams& p, const Tensor& x, int64_t in_per_group,
                     int64_t out) {
  if (out % p.groups) {
    fail<ShapeError>("{}: {} output channels do not divide into {} groups", name, out, p.groups);
  }
  if (x.shape().back() == in_per_group * p.groups) return;
  fail<ShapeError>(
      "{}: channels differ: x {} has {}, the kernel takes {}\n  hint: a kernel is [spatial..., in "
      "/ groups, out] with "
      "groups = {}",
      name, to_string(x.type()), x.shape().back(), in_per_group * p.groups, p.groups);
}

TensorType result(const Tensor& a, const Tensor& b, const Shape& shape) {
  checked_element_count("conv_general_dilated", shape);
  return {a.dtype(), shape, a.weak() && b.weak(), a.device()};
}

TypeList infer_conv(const ConvParams& p, Inputs x) {
  constexpr const char* kName = "conv_general_dilated";
  check_operands(kName, p, x[0], x[1]);
  expect_spatial(kName, "x", x[0], spatial_of_activations(x[0]), p.in_size);
  expect_spatial(kName, "a kernel", x[1], spatial_of_kernel(x[1]), p.kernel_size);
  const int64_t out = x[1].shape().back();
  expect_channels(kName, p, x[0], x[1].shape(-2), out);
  return {result(x[0], x[1], join({x[0].shape()[0]}, p.out_size(), {out}))};
}

TypeList infer_backward_data(const ConvParams& p, Inputs x) {
  constexpr const char* kName = "conv_backward_data";
  check_operands(kName, p, x[0], x[1]);
  expect_spatial(kName, "a cotangent", x[0], spatial_of_activations(x[0]), p.out_size());
  expect_spatial(kName, "a kernel", x[1], spatial_of_kernel(x[1]), p.kernel_size);
  if (x[0].shape().back() != x[1].shape().back()) {
    fail<ShapeError>("{}: channels differ: the cotangent is {}, the kernel {}", kName,
                     to_string(x[0].type()), to_string(x[1].type()));
  }
  return {result(x[0], x[1], join({x[0].shape()[0]}, p.in_size, {x[1].shape(-2) * p.groups}))};
}

TypeList infer_backward_weights(const ConvParams& p, Inputs x) {
  constexpr const char* kName = "conv_backward_weights";
  check_operands(kName, p, x[0], x[1]);
  expect_spatial(kName, "x", x[0], spatial_of_activations(x[0]), p.in_size);
  expect_spatial(kName, "a cotangent", x[1], spatial_of_activations(x[1]), p.out_size());
  const int64_t in = x[0].shape().back();
  if (x[0].shape()[0] != x[1].shape()[0] || in % p.groups || x[1].shape().back() % p.groups) {
    fail<ShapeError>("{}: x {} and cotangent {} do not fit with {} groups", kName,
                     to_string(x[0].type()), to_string(x[1].type()), p.groups);
  }
  return {result(x[0], x[1], join(p.kernel_size, {in / p.groups}, {x[1].shape().back()}))};
}

Tensor forward(const ConvParams& p, const Tensor& x, const Tensor& w) {
  return emit_one(conv_primitive(), {x, w}, p);
}
Tensor backward_data(const ConvParams& p, const Tensor& g, const Tensor& w) {
  return emit_one(conv_backward_data_primitive(), {g, w}, p);
}
Tensor backward_weights(const ConvParams& p, const Tensor& x, const Tensor& g) {
  return emit_one(conv_backward_weights_primitive(), {x, g}, p);
}

Tensor transpose_forward(const ConvParams& p, int which, Inputs x, const Tensor& ct) {
  return which == 0 ? backward_data(p, ct, x[1]) : backward_weights(p, x[0], ct);
}
Tensor transpose_backward_data(const ConvParams& p, int which, Inputs x, const Tensor& ct) {
  return which == 0 ? forward(p, ct, x[1]) : backward_weights(p, ct, x[0]);
}
Tensor transpose_backward_weights(const ConvParams& p, int which, Inputs x, const Tensor& ct) {
  return which == 0 ? backward_data(p, x[1], ct) : forward(p, x[0], ct);
}

/// [B, N, ...] -> [B N, ...] and back.
Tensor into_batch(const Tensor& x) {
  Shape shape{x.shape(0) * x.shape(1)};
  shape.append(x.shape().begin() + 2, x.shape().end());
  return reshape(x, shape);
}
Tensor out_of_batch(const Tensor& x, int64_t size) {
  Shape shape{size, x.shape(0) / size};
  shape.append(x.shape().begin() + 1, x.shape().end());
  return reshape(x, shape);
}

/// [B, ..., G c, rest] -> [..., G B c, rest], where `from_end` counts the axis G c from the end (1:
/// the last).
Tensor into_axis(const Tensor& x, int64_t groups, int64_t from_end) {
  const int64_t axis = static_cast<int64_t>(x.rank()) - from_end;
  Shape split = x.shape();
  split[axis] /= groups;
  split.insert(axis, groups);
  const Tensor moved = moveaxis(reshape(x, split), 0, axis);
  Shape merged(x.shape().begin() + 1, x.shape().end());
  merged[axis - 1] *= x.shape()[0];
  return reshape(moved, merged);
}
Tensor out_of_axis(const Tensor& x, int64_t groups, int64_t from_end, int64_t size) {
  const int64_t axis = static_cast<int64_t>(x.rank()) - from_end;
  Shape split = x.shape();
  split[axis] /= groups * size;
  split.insert(axis, size);
  split.insert(axis, groups);
  Shape merged = x.shape();
  merged[axis] /= size;
  merged.insert(0, size);
  return reshape(moveaxis(reshape(x, split), axis + 1, 0), merged);
}

/// With both operands batched the batch becomes groups of channels.
template <class Apply>
TensorList batch_as_groups(const ConvParams& p, const BatchedInputs& in, Apply apply) {
  ConvParams q = p;
  q.groups *= in.size;
  return {out_of_axis(apply(q, into_axis(in.x[0], 1, 1), into_axis(in.x[1], 1, 1)), 1, 1, in.size)};
}

TensorList batch_forward(const ConvParams& p, const BatchedInputs& in) {
  if (in.batched[0] && in.batched[1]) return batch_as_groups(p, in, forward);
  if (in.batched[0]) return {out_of_batch(forward(p, into_batch(in.x[0]), in.x[1]), in.size)};
  return {out_of_axis(forward(p, in.x[0], into_axis(in.x[1], p.groups, 1)), p.groups, 1, in.size)};
}

TensorList batch_backward_data(const ConvParams& p, const BatchedInputs& in) {
  if (in.batched[0] && in.batched[1]) return batch_as_groups(p, in, backward_data);
  if (in.batched[0]) return {out_of_batch(backward_data(p, into_batch(in.x[0]), in.x[1]), in.size)};
  return {out_of_axis(backward_data(p, in.x[0], into_axis(in.x[1], 1, 2)), p.groups, 1, in.size)};
}

TensorList batch_backward_weights(const ConvParams& p, const BatchedInputs& in) {
  if (in.batched[0] && in.batched[1]) return batch_as_groups(p, in, backward_weights);
  if (in.batched[0]) {
    return {
        out_of_axis(backward_weights(p, into_axis(in.x[0], p.groups, 1), in.x[1]), 1, 2, in.size)};
  }
  return {out_of_axis(backward_weights(p, in.x[0], into_axis(in.x[1], p.groups, 1)), p.groups, 1,
                      in.size)};
}

/// Indices of the form T(x, w, g), of which each convolution keeps one as the result and `summed`
/// is not in it. Positions are needed whole.
class ConvDims {
 public:
  enum class Summed : uint8_t { kBatch, kIn, kOut };

  ConvDims(const ConvParams& p, int64_t batch, int64_t in, int64_t out, Summed summed)
      : params_(p) {
    const auto kind = [&](Summed which) {
      return which == summed ? FactorKind::kSum : FactorKind::kPass;
    };
    batch_ = map_.add(batch, kind(Summed::kBatch));
    group_ = map_.add(p.groups);
    in_ = map_.add(in / p.groups, kind(Summed::kIn));
    out_ = map_.add(out / p.groups, kind(Summed::kOut));
  }

  TensorFactors x() { return activations(params_.in_size, in_); }
  TensorFactors y() { return activations(params_.out_size(), out_); }
  TensorFactors w() {
    TensorFactors factors = whole(params_.kernel_size);
    factors.push_back({in_});
    factors.push_back({group_, out_});
    return factors;
  }
  DimMap map(TensorFactors a, TensorFactors b, TensorFactors result) {
    map_.operands = {std::move(a), std::move(b)};
    map_.results = {std::move(result)};
    return std::move(map_);
  }

 private:
  TensorFactors whole(const Shape& sizes) {
    TensorFactors factors;
    for (int64_t size : sizes) factors.push_back({map_.add(size, FactorKind::kWhole)});
    return factors;
  }
  TensorFactors activations(const Shape& sizes, int64_t channels) {
    TensorFactors factors = whole(sizes);
    factors.insert(factors.begin(), {batch_});
    factors.push_back({group_, channels});
    return factors;
  }

  const ConvParams& params_;
  DimMap map_;
  int64_t batch_, group_, in_, out_;
};

DimMap forward_dims(const ConvParams& p, Inputs x) {
  ConvDims d(p, x[0].shape(0), x[0].shape(-1), x[1].shape(-1), ConvDims::Summed::kIn);
  return d.map(d.x(), d.w(), d.y());
}
DimMap backward_data_dims(const ConvParams& p, Inputs x) {
  ConvDims d(p, x[0].shape(0), x[1].shape(-2) * p.groups, x[0].shape(-1), ConvDims::Summed::kOut);
  return d.map(d.y(), d.w(), d.x());
}
DimMap backward_weights_dims(const ConvParams& p, Inputs x) {
  ConvDims d(p, x[0].shape(0), x[0].shape(-1), x[1].shape(-1), ConvDims::Summed::kBatch);
  return d.map(d.x(), d.y(), d.w());
}

}  // namespace

Shape ConvParams::out_size() const {
  Shape out;
  constexpr const char* kName = "conv_general_dilated";
  for (size_t i = 0; i < strides.size(); ++i) {
    const CheckedSize padded =
        dilated_size(kName, in_size[i], lhs_dilation[i]) + padding_low[i] + padding_high[i];
    out.push_back(window_positions(kName, padded, kernel_size[i], rhs_dilation[i], strides[i]));
  }
  return out;
}

const Primitive& conv_primitive() {
  static const Primitive& p = define(Bilinear<ConvParams>{.name = "conv_general_dilated",
                                                          .infer = infer_conv,
                                                          .transpose_in = transpose_forward,
                                                          .dims = forward_dims,
                                                          .batch = batch_forward});
  return p;
}

const Primitive& conv_backward_data_primitive() {
  static const Primitive& p = define(Bilinear<ConvParams>{.name = "conv_backward_data",
                                                          .infer = infer_backward_data,
                                                          .transpose_in = transpose_backward_data,
                                                          .dims = backward_data_dims,
                                                          .batch = batch_backward_data});
  return p;
}

const Primitive& conv_backward_weights_primitive() {
  static const Primitive& p =
      define(Bilinear<ConvParams>{.name = "conv_backward_weights",
                                  .infer = infer_backward_weights,
                                  .transpose_in = transpose_backward_weights,
                                  .dims = backward_weights_dims,
                                  .batch = batch_backward_weights});
  return p;
}

namespace {

/// Padding may crop, but not more than there is.
void check_padding(const ConvParams& p, const Tensor& x) {
  constexpr const char* kName = "conv_general_dilated";
  check_extents(kName, "paddings", p.padding_low);
  check_extents(kName, "paddings", p.padding_high);
  check_extents(kName, "strides", p.strides);
  for (size_t i = 0; i < p.in_size.size(); ++i) {
    const int64_t size = dilated_size(kName, p.in_size[i], p.lhs_dilation[i]).value();
    if ((CheckedSize(kName, size) + p.padding_low[i] + p.padding_high[i]).value() >= 0) continue;
    fail<ShapeError>("{}: padding ({}, {}) crops more than the {} elements of dimension {} of {}",
                     kName, p.padding_low[i], p.padding_high[i], size, i + 1, to_string(x.type()));
  }
}

ConvParams params_of(const Tensor& x, const Tensor& w, const ConvOptions& options) {
  const size_t rank = x.rank() - 2;
  ConvParams p;
  p.strides = detail::per_dimension("conv_general_dilated", "strides", options.strides, rank);
  p.lhs_dilation = detail::per_dimension("conv_general_dilated", "lhs_dilation factors",
                                         options.lhs_dilation, rank);
  p.rhs_dilation = detail::per_dimension("conv_general_dilated", "rhs_dilation factors",
                                         options.rhs_dilation, rank);
  if (!options.padding.empty() && options.padding.size() != rank) {
    fail<ShapeError>("conv_general_dilated: expected {} pairs of padding, got {}", rank,
                     options.padding.size());
  }
  p.padding_low = Shape(rank, 0);
  p.padding_high = Shape(rank, 0);
  for (size_t i = 0; i < options.padding.size(); ++i) {
    p.padding_low[i] = options.padding[i].first;
    p.padding_high[i] = options.padding[i].second;
  }
  p.groups = options.feature_groups;
  p.in_size = spatial_of_activations(x);
  p.kernel_size = spatial_of_kernel(w);
  check_padding(p, x);
  return p;
}

/// Groups along the batch are groups of channels of a smaller batch: [G N, ..., c] -> [N, ..., G
/// c].
Tensor batch_groups_to_channels(const Tensor& x, int64_t groups) {
  if (x.shape()[0] % groups) {
    fail<ShapeError>("conv_general_dilated: batch of x {} does not divide into {} batch groups",
                     to_string(x.type()), groups);
  }
  return into_axis(out_of_batch(x, groups), 1, 1);
}

}  // namespace

Tensor conv_general_dilated(const Tensor& x, const Tensor& w, const ConvOptions& options) {
  constexpr const char* kName = "conv_general_dilated";
  if (x.rank() < 3 || x.rank() > 5 || w.rank() != x.rank()) {
    fail<ShapeError>(
        "{}: expected x [batch, spatial..., in] and w [spatial..., in / groups, out] with 1 to 3 "
        "spatial dimensions, "
        "got {} and {}",
        kName, to_string(x.type()), to_string(w.type()));
  }
  if (options.feature_groups < 1 || options.batch_groups < 1 ||
      (options.feature_groups > 1 && options.batch_groups > 1)) {
    fail<ValueError>(
        "{}: expected groups of at least 1, not along both features and batch, got {} and {}",
        kName, options.feature_groups, options.batch_groups);
  }
  const WeakDType type = promote_types({x.dtype(), x.weak()}, {w.dtype(), w.weak()});
  Tensor lhs = x.dtype() == type.dtype ? x : astype(x, type.dtype);
  const Tensor rhs = w.dtype() == type.dtype ? w : astype(w, type.dtype);
  ConvParams p = params_of(lhs, rhs, options);
  if (options.batch_groups > 1) {
    lhs = batch_groups_to_channels(lhs, options.batch_groups);
    p.groups = options.batch_groups;
  }
  return forward(p, lhs, rhs);
}

std::vector<std::pair<int64_t, int64_t>> resolve_padding(std::string_view same_or_valid,
                                                         std::span<const int64_t> sizes,
                                                         std::span<const int64_t> window,
                                                         std::span<const int64_t> strides,
                                                         std::span<const int64_t> dilation) {
  if (same_or_valid != "SAME" && same_or_valid != "VALID" && same_or_valid != "SAME_LOWER") {
    fail<ValueError>("padding: expected SAME, SAME_LOWER or VALID, got {}", same_or_valid);
  }
  if (sizes.size() != window.size() || (!strides.empty() && strides.size() != sizes.size()) ||
      (!dilation.empty() && dilation.size() != sizes.size())) {
    fail<ShapeError>("padding: sizes {}, window {}, strides {} and dilation {} differ in length",
                     to_string(sizes), to_string(window), to_string(strides), to_string(dilation));
  }
  std::vector<std::pair<int64_t, int64_t>> out(sizes.size(), {0, 0});
  if (same_or_valid == "VALID") return out;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t stride = strides.empty() ? 1 : strides[i];
    const CheckedSize span = dilated_size("padding", window[i], dilation.empty() ? 1 : dilation[i]);
    const int64_t outputs = sizes[i] == 0 ? 0 : (sizes[i] - 1) / stride + 1;
    const int64_t last = std::max<int64_t>(outputs - 1, -1) * stride;
    const int64_t total = std::max<int64_t>((span + last - sizes[i]).value(), 0);
    const int64_t less = total / 2;
    out[i] =
        same_or_valid == "SAME" ? std::pair(less, total - less) : std::pair(total - less, less);
  }
  return out;
}

void define_convolution() {
  conv_primitive();
  conv_backward_data_primitive();
  conv_backward_weights_primitive();
  conv_bias_activation_primitive();
  conv_backward_data_add_primitive();
  conv_and_moments_primitive();
}

}  // namespace linnet
