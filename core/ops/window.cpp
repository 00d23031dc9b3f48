#include "core/ops/window.h"

#include "core/ops/dims.h"
#include "core/ops/families.h"
#include "core/ops/per_dimension.h"
#include "core/tensor/checked_size.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

int64_t dilated(int64_t size, int64_t dilation) {
  return dilated_size("reduce_window", size, dilation).value();
}

void check_rank(const char* name, const WindowParams& p, const Tensor& x) {
  if (x.rank() != p.window.size()) {
    fail<ShapeError>("{}: expected a window with one entry per dimension of {}, got {}", name,
                     to_string(x.type()), to_string(p.window));
  }
  if (x.dtype() == DType::kBool)
    fail<DTypeError>("{}: expected a numeric dtype, got {}", name, to_string(x.type()));
}

TypeList infer_window(const char* name, const WindowParams& p, const Tensor& x) {
  check_rank(name, p, x);
  return {{x.dtype(), p.out_size(x.shape()), x.weak(), x.device()}};
}

/// Dimensions that the windows leave alone belong together.
DimMap windowed_dims(const WindowParams& p, Inputs x, const Shape& result) {
  Axes windowed;
  for (size_t i = 0; i < result.size(); ++i) {
    if (p.window[i] != 1 || p.strides[i] != 1 || p.base_dilation[i] != 1 || p.padding_low[i] != 0 ||
        p.padding_high[i] != 0)
      windowed.push_back(static_cast<int64_t>(i));
  }
  return dims::aligned(x, windowed, result);
}

DimMap window_dims(const WindowParams& p, Inputs x) {
  return windowed_dims(p, x, p.out_size(x[0].shape()));
}

/// The adjoint of a windowed sum is a windowed sum with stride and base dilation exchanged.
WindowParams adjoint(const WindowParams& p, const Shape& in, const Shape& out) {
  WindowParams q{p.window, p.base_dilation, {}, {}, p.strides, p.window_dilation};
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t reach = (p.window[i] - 1) * p.window_dilation[i];
    const int64_t low = reach - p.padding_low[i];
    q.padding_low.push_back(low);
    q.padding_high.push_back((in[i] - 1) * p.base_dilation[i] + reach + 1 -
                             dilated(out[i], p.strides[i]) - low);
  }
  return q;
}

TensorList transpose_sum(const WindowParams& p, Inputs x, const Tensor& ct) {
  if (x[0].size() == 0) return {zeros(x[0].shape(), ct.dtype())};
  return {emit_one(reduce_window_sum_primitive(), {ct}, adjoint(p, x[0].shape(), ct.shape()))};
}

SelectParams select_params(const WindowParams& p, bool maximum) { return {p, maximum}; }

template <bool kMaximum>
TensorList vjp_select(const WindowParams& p, Inputs x, Outputs, Inputs cts) {
  return {emit_one(select_and_scatter_add_primitive(), {cts[0], x[0]}, select_params(p, kMaximum))};
}
template <bool kMaximum>
TensorList jvp_select(const WindowParams& p, Inputs x, Outputs, Inputs tangents) {
  return {emit_one(select_and_gather_primitive(), {tangents[0], x[0]}, select_params(p, kMaximum))};
}

TypeList infer_scatter(const SelectParams& p, Inputs x) {
  constexpr const char* kName = "select_and_scatter_add";
  check_rank(kName, p.window, x[1]);
  const Shape windows = p.window.out_size(x[1].shape());
  if (x[0].shape() != windows || x[0].dtype() != x[1].dtype()) {
    fail<ShapeError>("{}: expected a source {} for x {}, got {}", kName,
                     type_string(x[1].dtype(), windows), to_string(x[1].type()),
                     to_string(x[0].type()));
  }
  return {{x[1].dtype(), x[1].shape(), false, x[1].device()}};
}

TypeList infer_gather(const SelectParams& p, Inputs x) {
  constexpr const char* kName = "select_and_gather";
  check_rank(kName, p.window, x[1]);
  if (x[0].shape() != x[1].shape() || x[0].dtype() != x[1].dtype()) {
    fail<ShapeError>("{}: expected values like x {}, got {}", kName, to_string(x[1].type()),
                     to_string(x[0].type()));
  }
  return {{x[1].dtype(), p.window.out_size(x[1].shape()), false, x[1].device()}};
}

TensorList transpose_scatter(const SelectParams& p, Inputs x, const Tensor& ct) {
  return {emit_one(select_and_gather_primitive(), {ct, x[1]}, p), Tensor()};
}
TensorList transpose_gather(const SelectParams& p, Inputs x, const Tensor& ct) {
  return {emit_one(select_and_scatter_add_primitive(), {ct, x[1]}, p), Tensor()};
}

DimMap scatter_dims(const SelectParams& p, Inputs x) {
  return windowed_dims(p.window, x, x[1].shape());
}
DimMap gather_dims(const SelectParams& p, Inputs x) {
  return windowed_dims(p.window, x, p.window.out_size(x[1].shape()));
}

}  // namespace

Shape WindowParams::out_size(const Shape& in) const {
  Shape out;
  constexpr const char* kName = "reduce_window";
  for (size_t i = 0; i < window.size(); ++i) {
    const CheckedSize padded =
        dilated_size(kName, in[i], base_dilation[i]) + padding_low[i] + padding_high[i];
    out.push_back(window_positions(kName, padded, window[i], window_dilation[i], strides[i]));
  }
  checked_element_count(kName, out);
  return out;
}

const Primitive& reduce_window_sum_primitive() {
  static const Primitive& p = define(LinearMap<WindowParams>{
      .name = "reduce_window_sum",
      .infer = [](const WindowParams& q,
                  Inputs x) { return infer_window("reduce_window_sum", q, x[0]); },
      .transpose = transpose_sum,
      .dims = window_dims});
  return p;
}

const Primitive& reduce_window_max_primitive() {
  static const Primitive& p = define(Smooth<WindowParams>{
      .name = "reduce_window_max",
      .infer = [](const WindowParams& q,
                  Inputs x) { return infer_window("reduce_window_max", q, x[0]); },
      .vjp = vjp_select<true>,
      .jvp = jvp_select<true>,
      .dims = window_dims,
      .saves_outputs = 0});
  return p;
}

const Primitive& reduce_window_min_primitive() {
  static const Primitive& p = define(Smooth<WindowParams>{
      .name = "reduce_window_min",
      .infer = [](const WindowParams& q,
                  Inputs x) { return infer_window("reduce_window_min", q, x[0]); },
      .vjp = vjp_select<false>,
      .jvp = jvp_select<false>,
      .dims = window_dims,
      .saves_outputs = 0});
  return p;
}

const Primitive& select_and_scatter_add_primitive() {
  static const Primitive& p = define(LinearMap<SelectParams>{.name = "select_and_scatter_add",
                                                             .infer = infer_scatter,
                                                             .transpose = transpose_scatter,
                                                             .dims = scatter_dims,
                                                             .nondifferentiable = bits_of({1})});
  return p;
}

const Primitive& select_and_gather_primitive() {
  static const Primitive& p = define(LinearMap<SelectParams>{.name = "select_and_gather",
                                                             .infer = infer_gather,
                                                             .transpose = transpose_gather,
                                                             .dims = gather_dims,
                                                             .nondifferentiable = bits_of({1})});
  return p;
}

namespace {

WindowParams params_of(const Tensor& x, const WindowOptions& options) {
  const size_t rank = x.rank();
  WindowParams p;
  p.window = detail::per_dimension("reduce_window", "window sizes",
                                   {options.window.begin(), options.window.end()}, rank);
  p.strides = detail::per_dimension("reduce_window", "strides", options.strides, rank);
  p.base_dilation =
      detail::per_dimension("reduce_window", "base dilation factors", options.base_dilation, rank);
  p.window_dilation = detail::per_dimension("reduce_window", "window dilation factors",
                                            options.window_dilation, rank);
  if (!options.padding.empty() && options.padding.size() != rank) {
    fail<ShapeError>("reduce_window: expected {} pairs of padding, got {}", rank,
                     options.padding.size());
  }
  p.padding_low = Shape(rank, 0);
  p.padding_high = Shape(rank, 0);
  for (size_t i = 0; i < options.padding.size(); ++i) {
    p.padding_low[i] = options.padding[i].first;
    p.padding_high[i] = options.padding[i].second;
  }
  check_extents("reduce_window", "paddings", p.padding_low);
  check_extents("reduce_window", "paddings", p.padding_high);
  check_extents("reduce_window", "strides", p.strides);
  check_extents("reduce_window", "base dilation factors", p.base_dilation);
  return p;
}

/// Smallest (largest) value of a dtype: the identity of max (min).
Tensor identity_of(DType dtype, bool maximum) {
  if (is_inexact(dtype)) {
    return scalar(maximum ? -std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::infinity(),
                  dtype);
  }
  const IntInfo info = iinfo(dtype);
  return scalar_integer(maximum ? info.min : static_cast<int64_t>(info.max), dtype);
}

/// Holes between elements, written out, so that selections need not know of them.
Tensor dilate(const Tensor& x, WindowParams& p, bool maximum) {
  if (p.base_dilation == Shape(x.rank(), 1)) return x;
  std::vector<PadDim> holes;
  for (int64_t dilation : p.base_dilation) holes.push_back({0, 0, dilation - 1});
  p.base_dilation = Shape(x.rank(), 1);
  return pad(x, holes, identity_of(x.dtype(), maximum));
}

}  // namespace

Tensor reduce_window(const Tensor& x, WindowReduction reduction, const WindowOptions& options) {
  WindowParams p = params_of(x, options);
  if (reduction == WindowReduction::kSum) return emit_one(reduce_window_sum_primitive(), {x}, p);
  const bool maximum = reduction == WindowReduction::kMax;
  const Tensor dilated_x = dilate(x, p, maximum);
  return emit_one(maximum ? reduce_window_max_primitive() : reduce_window_min_primitive(),
                  {dilated_x}, p);
}

void define_windows() {
  reduce_window_sum_primitive();
  reduce_window_max_primitive();
  reduce_window_min_primitive();
  select_and_scatter_add_primitive();
  select_and_gather_primitive();
}

}  // namespace linnet
