#include "kernels/layout/conv_layout.h"

#include <algorithm>

namespace linnet {
namespace {

bool all_at_least(const Shape& values, int64_t least) {
  return std::all_of(values.begin(), values.end(), [&](int64_t value) { return value >= least; });
}
bool all_ones(const Shape& values) { return values == Shape(values.size(), 1); }

}  // namespace

bool is_ordinary(const ConvParams& p) {
  return all_ones(p.lhs_dilation) && all_at_least(p.padding_low, 0) &&
         all_at_least(p.padding_high, 0);
}

std::optional<TransposedConv> transposed_conv(const ConvParams& p) {
  if (!all_ones(p.strides) || all_ones(p.lhs_dilation)) return {};
  TransposedConv out{p.out_size(), p.lhs_dilation, {}, {}};
  for (size_t i = 0; i < p.strides.size(); ++i) {
    const int64_t reach = (p.kernel_size[i] - 1) * p.rhs_dilation[i];
    const int64_t low = reach - p.padding_low[i];
    const int64_t high = (p.in_size[i] - 1) * p.lhs_dilation[i] + reach + 1 - out.in_size[i] - low;
    if (low < 0 || high < 0) return {};
    out.padding_low.push_back(low);
    out.padding_high.push_back(high);
  }
  return out;
}

FlippedKernel::FlippedKernel(const ConvParams& params, int64_t in_channels, int64_t out_channels) {
  const int64_t groups = params.groups, ins = in_channels / groups, outs = out_channels / groups;
  Shape own = params.kernel_size;
  own.push_back(ins);
  own.push_back(out_channels);
  const Strides dense = dense_strides(own);
  for (size_t i = 0; i < params.kernel_size.size(); ++i) {
    shape.push_back(params.kernel_size[i]);
    strides.push_back(-dense[i]);
    offset += (params.kernel_size[i] - 1) * dense[i];
  }
  for (const int64_t size : {ins, groups, outs}) shape.push_back(size);
  for (const int64_t stride : {out_channels, outs, int64_t{1}}) strides.push_back(stride);
}

PaddedInput::PaddedInput(const ConvParams& params, std::span<const int64_t> x_shape) {
  const size_t rank = params.strides.size();
  Shape full{x_shape[0]};
  for (size_t i = 0; i < rank; ++i) {
    size.push_back((params.in_size[i] - 1) * params.lhs_dilation[i] + 1 + params.padding_low[i] +
                   params.padding_high[i]);
    full.push_back(size[i]);
  }
  full.push_back(x_shape.back());
  own = dense_strides(x_shape);
  padded = dense_strides(full);
  padded_size = element_count(full);
  shape = Shape(x_shape);
  for (size_t i = 0; i < rank; ++i) add_dimension(params, i);
}

void PaddedInput::add_dimension(const ConvParams& params, size_t i) {
  const int64_t step = params.lhs_dilation[i], low = params.padding_low[i];
  const int64_t first = low >= 0 ? 0 : (-low + step - 1) / step;
  const int64_t end =
      size[i] - 1 - low < 0 ? 0 : std::min(params.in_size[i], (size[i] - 1 - low) / step + 1);
  shape[i + 1] = std::max<int64_t>(end - first, 0);
  own_offset += first * own[i + 1];
  padded_offset += (low + first * step) * padded[i + 1];
  padded[i + 1] *= step;
}

}  // namespace linnet
