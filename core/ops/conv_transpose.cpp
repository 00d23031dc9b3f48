#include "linnet/conv_transpose.h"

#include <algorithm>

#include "core/ops/per_dimension.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

int64_t dilated(std::span<const int64_t> window, std::span<const int64_t> dilation, size_t i) {
  return (window[i] - 1) * (dilation.empty() ? 1 : dilation[i]) + 1;
}

}  // namespace

std::vector<std::pair<int64_t, int64_t>> conv_transpose_padding(std::string_view same_or_valid,
                                                                std::span<const int64_t> window,
                                                                std::span<const int64_t> strides,
                                                                std::span<const int64_t> dilation) {
  const bool same = same_or_valid == "SAME";
  if (!same && same_or_valid != "VALID") {
    fail<ValueError>("conv_transpose: expected SAME, VALID or numbers as padding, got {}",
                     same_or_valid);
  }
  std::vector<std::pair<int64_t, int64_t>> out;
  for (size_t i = 0; i < strides.size(); ++i) {
    const int64_t span = dilated(window, dilation, i), stride = strides[i];
    int64_t total = span + stride - 2;
    if (!same) total += std::max<int64_t>(span - stride, 0);
    const int64_t low = !same || stride > span - 1 ? span - 1 : (total + 1) / 2;
    out.emplace_back(low, total - low);
  }
  return out;
}

Tensor conv_transpose(const Tensor& x, const Tensor& w, const ConvTransposeOptions& options) {
  if (w.rank() < 2 || x.rank() != w.rank()) {
    fail<ShapeError>(
        "conv_transpose: expected x [batch, spatial..., in] and a kernel [spatial..., in, out] of "
        "the same rank, got {} and {}",
        to_string(x.type()), to_string(w.type()));
  }
  const size_t spatial = w.rank() - 2;
  const Shape strides =
      detail::per_dimension("conv_transpose", "strides", options.strides, spatial);
  const Shape dilation =
      detail::per_dimension("conv_transpose", "dilations", options.rhs_dilation, spatial);
  const std::span<const int64_t> window(w.shape().data(), spatial);
  ConvOptions plain{.lhs_dilation = {strides.begin(), strides.end()},
                    .rhs_dilation = {dilation.begin(), dilation.end()}};
  plain.padding = options.edges
                      ? *options.edges
                      : conv_transpose_padding(options.padding, window, strides, dilation);
  if (options.edges && options.consistent_padding) {
    for (size_t i = 0; i < std::min(spatial, plain.padding.size()); ++i) {
      auto& [low, high] = plain.padding[i];
      const int64_t reach = dilated(window, dilation, i) - 1;
      low = reach - low;
      high = reach - high;
    }
  }
  if (!options.transpose_kernel) return conv_general_dilated(x, w, plain);
  Axes axes;
  for (size_t i = 0; i < spatial; ++i) axes.push_back(static_cast<int64_t>(i));
  return conv_general_dilated(x, swapaxes(flip(w, axes), -2, -1), plain);
}

}  // namespace linnet
