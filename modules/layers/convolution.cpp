#include "modules/layers/convolution.h"

#include <algorithm>
#include <limits>

#include "linnet/conv_transpose.h"
#include "linnet/detail/format.h"
#include "linnet/layers/dtypes.h"

namespace linnet::layers {
namespace {

int64_t mod_positive(int64_t a, int64_t b) { return ((a % b) + b) % b; }

/// `axis` of x continued beyond its ends, as a ring or mirrored at the outer elements.
Tensor extended(const Tensor& x, int64_t axis, int64_t low, int64_t high, bool mirrored) {
  if (low == 0 && high == 0) return x;
  const int64_t n = x.shape(axis);
  if (n == 0) {
    fail<ValueError>(
        "conv: {} padding cannot continue a spatial dimension without elements, got {}",
        mirrored ? "REFLECT" : "CIRCULAR", type_of(x));
  }
  const int64_t period = mirrored ? std::max<int64_t>(2 * (n - 1), 1) : n;
  const auto gathered = [&]<class Index>(Index) {
    std::vector<Index> source;
    for (int64_t i = -low; i < n + high; ++i) {
      int64_t at = mod_positive(i, period);
      if (at >= n) at = period - at;
      source.push_back(static_cast<Index>(at));
    }
    const int64_t count = static_cast<int64_t>(source.size());
    return take(x, from_vector(source, {count}), axis, GatherMode::kPromiseInBounds);
  };
  return n <= std::numeric_limits<int32_t>::max() ? gathered(int32_t{}) : gathered(int64_t{});
}

/// Pads by continuing x, then no padding is left to do: (k - 1) / 2 before and k / 2 after, k being
/// the dilated kernel's size.
Tensor continued(Tensor x, const Shape& kernel, const Shape& dilation, bool mirrored) {
  for (size_t i = 0; i + 2 < x.rank(); ++i) {
    const int64_t span = (kernel[i] - 1) * dilation[i] + 1;
    x = extended(x, static_cast<int64_t>(i) + 1, (span - 1) / 2, span / 2, mirrored);
  }
  return x;
}

/// Resolves the padding; may extend x itself.
std::vector<std::pair<int64_t, int64_t>> apply_padding(Tensor& x, const Padding& padding,
                                                       const Shape& kernel, const Shape& strides,
                                                       const Shape& dilation) {
  const size_t spatial = kernel.size();
  const std::string& rule = padding.rule();
  if (rule.empty()) return padding.edges(spatial, "conv");
  if (rule == "CAUSAL") {
    if (spatial != 1) {
      fail<ValueError>("conv: CAUSAL padding is for one spatial dimension, got {} dimensions",
                       spatial);
    }
    return {{dilation[0] * (kernel[0] - 1), 0}};
  }
  if (rule == "CIRCULAR" || rule == "REFLECT") {
    x = continued(std::move(x), kernel, dilation, rule == "REFLECT");
    return std::vector<std::pair<int64_t, int64_t>>(spatial, {0, 0});
  }
  return resolve_padding(rule, std::span(x.shape().data() + 1, spatial), kernel, strides, dilation);
}

/// Edges of the padding; CIRCULAR is folded from what VALID gives.
std::vector<std::pair<int64_t, int64_t>> transposed_padding(const Padding& padding,
                                                            const Shape& kernel,
                                                            const Shape& strides,
                                                            const Shape& dilation) {
  const std::string& rule = padding.rule();
  if (rule.empty()) return padding.edges(strides.size(), "conv_transpose");
  if (rule != "SAME" && rule != "VALID" && rule != "CIRCULAR") {
    fail<ValueError>("conv_transpose: expected SAME, VALID, CIRCULAR or numbers as padding, got {}",
                     rule);
  }
  return conv_transpose_padding(rule == "SAME" ? rule : "VALID",
                                std::span(kernel.data(), strides.size()), strides, dilation);
}

/// Sums y, an unpadded transposed convolution of an operand of shape x, over copies of the ring of
/// size * stride positions. The odd position of a remainder goes to the left, for a transposed
/// kernel to the right.
Tensor folded(Tensor y, const Shape& x, const Shape& strides, bool odd_to_the_right) {
  for (size_t i = 0; i < strides.size(); ++i) {
    const int64_t axis = static_cast<int64_t>(i) + 1;
    const int64_t period = x[axis] * strides[i];
    if (period == 0) {
      fail<ValueError>(
          "conv_transpose: CIRCULAR padding needs elements in each spatial dimension, got {}",
          to_string(x));
    }
    const int64_t missing = mod_positive(period - y.shape(axis), 2 * period);
    const int64_t more = (missing + 1) / 2, less = missing / 2;
    std::vector<PadDim> edges(y.rank());
    edges[axis] = odd_to_the_right ? PadDim{less, more, 0} : PadDim{more, less, 0};
    y = pad(y, edges);
    Shape split(y.shape().begin(), y.shape().begin() + axis);
    split.push_back(y.shape(axis) / period);
    split.push_back(period);
    split.append(y.shape().begin() + axis + 1, y.shape().end());
    y = sum(reshape(y, split), Axes{axis});
  }
  return y;
}

/// Applies `body` to x with one batch dimension and the kernel, both in the common dtype, and adds
/// the bias.
template <class F>
Tensor convolved(const char* name, const Tensor& x, const Tensor& kernel, const Tensor& bias,
                 const Tensor& mask, std::optional<DType> dtype, F&& body) {
  const size_t spatial = kernel.rank() - 2;
  if (x.rank() < spatial + 1) {
    fail<ShapeError>("{}: expected x [batch..., {} spatial dimensions, features], got {}", name,
                     spatial, to_string(x.type()));
  }
  if (mask.defined() && mask.shape() != kernel.shape()) {
    fail<ValueError>("{}: expected a mask of the kernel's shape {}, got {}", name,
                     to_string(kernel.shape()), to_string(mask.type()));
  }
  const TensorList in = promote_dtype(
      {x, mask.defined() ? kernel * astype(mask, kernel.dtype()) : kernel, bias}, dtype);
  const Shape batch(x.shape().begin(), x.shape().end() - static_cast<int64_t>(spatial) - 1);
  Shape single{element_count(batch)};
  single.append(x.shape().begin() + batch.size(), x.shape().end());
  Tensor y = body(batch.size() == 1 ? in[0] : reshape(in[0], single), in[1]);
  if (in[2].defined()) y = y + in[2];
  if (batch.size() == 1) return y;
  Shape restored = batch;
  restored.append(y.shape().begin() + 1, y.shape().end());
  return reshape(y, restored);
}

}  // namespace

Shape conv_kernel_shape(const Shape& kernel, int64_t in, int64_t out, int64_t groups) {
  if (groups < 1 || in % groups || out % groups) {
    fail<ValueError>("conv: {} groups do not divide {} input and {} output features", groups, in,
                     out);
  }
  PerDimension(kernel).expanded(kernel.size(), "conv", "kernel sizes");
  Shape shape = kernel;
  shape.push_back(in / groups);
  shape.push_back(out);
  return shape;
}

Tensor conv(const Tensor& x, const Tensor& kernel, const Tensor& bias, const Tensor& mask,
            const ConvSettings& settings) {
  const size_t spatial = kernel.rank() - 2;
  const Shape sizes(kernel.shape().begin(), kernel.shape().begin() + spatial);
  const Shape strides = settings.strides.expanded(spatial, "conv", "strides");
  const Shape dilation = settings.kernel_dilation.expanded(spatial, "conv", "kernel dilations");
  const Shape input_dilation = settings.input_dilation.expanded(spatial, "conv", "input dilations");
  return convolved(
      "conv", x, kernel, bias, mask, settings.dtype, [&](Tensor operand, const Tensor& weights) {
        ConvOptions options{.strides = {strides.begin(), strides.end()},
                            .lhs_dilation = {input_dilation.begin(), input_dilation.end()},
                            .rhs_dilation = {dilation.begin(), dilation.end()},
                            .feature_groups = settings.feature_groups};
        options.padding = apply_padding(operand, settings.padding, sizes, strides, dilation);
        return conv_general_dilated(operand, weights, options);
      });
}

Tensor conv_patches(const Tensor& x, const Shape& kernel, const ConvSettings& settings) {
  // A convolution of each channel by itself, with a filter for each element of the window.
  const int64_t in = x.shape(-1), window = element_count(kernel);
  const Tensor one = eye(window, window, 0, canonicalize_dtype({x}, settings.dtype));
  const Tensor filters = concatenate(TensorList(static_cast<size_t>(in), one), 1);
  Shape shape = kernel;
  shape.push_back(1);
  shape.push_back(in * window);
  ConvSettings by_channel = settings;
  by_channel.feature_groups = in;
  return conv(x, reshape(filters, shape), {}, {}, by_channel);
}

Tensor conv_local(const Tensor& patches, const Tensor& kernel, const Tensor& bias,
                  std::optional<DType> dtype) {
  const TensorList in = promote_dtype({patches, kernel, bias}, dtype);
  const auto spatial = static_cast<int64_t>(kernel.rank()) - 2;
  const auto rank = static_cast<int64_t>(patches.rank()), batch = rank - spatial - 1;
  DotDims dims{.lhs_contract = {rank - 1}, .rhs_contract = {spatial}};
  for (int64_t i = 0; i < spatial; ++i) {
    dims.lhs_batch.push_back(batch + i);
    dims.rhs_batch.push_back(i);
  }
  // [out spatial..., batch..., features]
  const Tensor products = dot_general(in[0], in[1], dims);
  Axes order;
  for (int64_t i = 0; i < batch; ++i) order.push_back(spatial + i);
  for (int64_t i = 0; i < spatial; ++i) order.push_back(i);
  order.push_back(rank - 1);
  const Tensor y = transpose(products, order);
  return in[2].defined() ? y + in[2] : y;
}

Tensor conv_transpose(const Tensor& x, const Tensor& kernel, const Tensor& bias, const Tensor& mask,
                      const ConvTransposeSettings& settings) {
  const size_t spatial = kernel.rank() - 2;
  const Shape strides = settings.strides.expanded(spatial, "conv_transpose", "strides");
  const Shape dilation =
      settings.kernel_dilation.expanded(spatial, "conv_transpose", "kernel dilations");
  const ConvTransposeOptions options{
      .strides = {strides.begin(), strides.end()},
      .edges = transposed_padding(settings.padding, kernel.shape(), strides, dilation),
      .rhs_dilation = {dilation.begin(), dilation.end()},
      .transpose_kernel = settings.transpose_kernel};
  return convolved("conv_transpose", x, kernel, bias, mask, settings.dtype,
                   [&](const Tensor& operand, const Tensor& weights) {
                     const Tensor y = linnet::conv_transpose(operand, weights, options);
                     return settings.padding.rule() == "CIRCULAR"
                                ? folded(y, operand.shape(), strides, settings.transpose_kernel)
                                : y;
                   });
}

}  // namespace linnet::layers
