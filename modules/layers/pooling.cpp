#include "linnet/layers/pooling.h"

#include "linnet/detail/format.h"

namespace linnet::layers {

Tensor pool(const Tensor& x, WindowReduction reduction, const PerDimension& window,
            const PerDimension& strides, const Padding& padding) {
  const size_t spatial = window.values().size();
  const Shape sizes = window.expanded(spatial, "pool", "window sizes");
  const Shape steps = strides.expanded(spatial, "pool", "strides");
  if (x.rank() < spatial + 1) {
    fail<ShapeError>("pool: expected x [batch..., {} spatial dimensions, channels], got {}",
                     spatial, to_string(x.type()));
  }
  const size_t first = x.rank() - 1 - spatial;
  WindowOptions options{.window = Shape(x.rank(), 1)};
  options.strides.assign(x.rank(), 1);
  options.padding.assign(x.rank(), {0, 0});
  const std::vector<std::pair<int64_t, int64_t>> edges =
      padding.rule().empty()
          ? padding.edges(spatial, "pool")
          : resolve_padding(padding.rule(), std::span(x.shape().data() + first, spatial), sizes,
                            steps);
  for (size_t i = 0; i < spatial; ++i) {
    options.window[first + i] = sizes[i];
    options.strides[first + i] = steps[i];
    options.padding[first + i] = edges[i];
  }
  return reduce_window(x, reduction, options);
}

Tensor avg_pool(const Tensor& x, const PerDimension& window, const PerDimension& strides,
                const Padding& padding, bool count_include_pad) {
  const DType wide = promote_types(x.dtype(), DType::kF32);
  const Tensor total = pool(astype(x, wide), WindowReduction::kSum, window, strides, padding);
  Tensor mean;
  if (count_include_pad) {
    mean = total / static_cast<double>(element_count(window.values()));
  } else {
    Shape one_channel(x.rank(), 1);
    for (size_t i = 1; i <= window.values().size(); ++i) {
      one_channel[x.rank() - 1 - i] = x.shape()[x.rank() - 1 - i];
    }
    mean = total / pool(ones(one_channel, wide), WindowReduction::kSum, window, strides, padding);
  }
  return is_floating(x.dtype()) ? astype(mean, x.dtype()) : mean;
}

Tensor max_pool(const Tensor& x, const PerDimension& window, const PerDimension& strides,
                const Padding& padding) {
  return pool(x, WindowReduction::kMax, window, strides, padding);
}

Tensor min_pool(const Tensor& x, const PerDimension& window, const PerDimension& strides,
                const Padding& padding) {
  return pool(x, WindowReduction::kMin, window, strides, padding);
}

}  // namespace linnet::layers
