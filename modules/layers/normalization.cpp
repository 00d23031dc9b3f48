#include "modules/layers/normalization.h"

#include <algorithm>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/layers/dtypes.h"

namespace linnet::layers {
namespace {

Axes sorted_axes(const Axes& axes, size_t rank, const char* operation) {
  Axes out = normalize_axes(axes, rank, operation);
  std::sort(out.begin(), out.end());
  return out;
}

Axes other_axes(const Axes& axes, size_t rank) {
  Axes out;
  for (int64_t i = 0; i < static_cast<int64_t>(rank); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) out.push_back(i);
  }
  return out;
}

/// True if `axes` are the last ones.
bool trailing(const Axes& axes, size_t rank) {
  return !axes.empty() && axes[0] == static_cast<int64_t>(rank - axes.size());
}

DType output_dtype(const Tensor& x, const ScaleBias& parameters, const NormSettings& settings) {
  return canonicalize_dtype({x, parameters.scale, parameters.bias}, settings.dtype);
}

/// x as the whole-norm operations want it: their result has x's dtype, so x must not be narrower
/// than the result.
Tensor operand_of(const Tensor& x, DType out) { return astype(x, promote_types(x.dtype(), out)); }

Tensor masked_mean(const Tensor& x, const Axes& axes, const Tensor& mask) {
  if (!mask.defined()) return mean(x, axes);
  const Tensor chosen = broadcast_to(mask, x.shape());
  return sum(where(chosen, x, 0), axes) / sum(astype(chosen, x.dtype()), axes);
}

/// Averages of one shape over the elements of the named axis, if there is one: one collective.
TensorList over_named_axis(const TensorList& averages, const NormSettings& settings) {
  if (!settings.axis_name) return averages;
  const Tensor all = pmean(stack(averages), *settings.axis_name, settings.axis_index_groups);
  TensorList out;
  for (size_t i = 0; i < averages.size(); ++i) out.push_back(all[static_cast<int64_t>(i)]);
  return out;
}

Tensor mean_of_all(const Tensor& x, const Axes& axes, const Tensor& mask,
                   const NormSettings& settings) {
  return over_named_axis({masked_mean(x, axes, mask)}, settings)[0];
}

/// Features of which a mask leaves something, in every element of the named axis: one that has
/// nothing makes the mean NaN.
Tensor seen_features(const Tensor& x, const Tensor& mask, const Axes& axes,
                     const NormSettings& settings) {
  const Tensor here = any(broadcast_to(mask, x.shape()), axes);
  if (!settings.axis_name) return here;
  return pmin(astype(here, DType::kI32), *settings.axis_name, settings.axis_index_groups) > 0;
}

/// Whether one operation may do the whole norm.
bool local_and_whole(const Tensor& x, const Tensor& mask, const NormSettings& settings) {
  return !mask.defined() && !settings.axis_name && settings.force_float32 && is_floating(x.dtype());
}

/// Gives back dimensions of size 1 for the reduced axes.
Tensor with_axes(const Tensor& statistic, const Axes& axes) {
  return axes.empty() ? statistic : expand_dims(statistic, axes);
}

/// Scale or bias with 1 in every dimension but the feature axes.
Tensor on_features(const Tensor& parameter, const Tensor& x, const Axes& features) {
  Shape shape(x.rank(), 1);
  for (int64_t axis : features) shape[axis] = x.shape()[axis];
  return reshape(parameter, shape);
}

/// (x - mean) * (rsqrt(variance + epsilon) * scale) + bias; an undefined mean is zero (L-128).
Tensor normalised(const Tensor& x, const Statistics& s, const Axes& reduced,
                  const ScaleBias& parameters, const NormSettings& settings) {
  const Axes features = sorted_axes(settings.feature_axes, x.rank(), "normalisation");
  Tensor factor = rsqrt(with_axes(s.variance, reduced) + settings.epsilon);
  if (parameters.scale.defined()) factor = factor * on_features(parameters.scale, x, features);
  Tensor y = s.mean.defined() ? x - with_axes(s.mean, reduced) : x;
  y = y * factor;
  if (parameters.bias.defined()) y = y + on_features(parameters.bias, x, features);
  return astype(y, output_dtype(x, parameters, settings));
}

}  // namespace

Shape feature_shape(const Shape& shape, const Axes& axes) {
  Shape out;
  for (int64_t axis : sorted_axes(axes, shape.size(), "normalisation")) out.push_back(shape[axis]);
  return out;
}

Statistics statistics(const Tensor& x, const Axes& axes, const Tensor& mask,
                      const NormSettings& settings) {
  Tensor value = x;
  if (settings.force_float32) value = astype(x, promote_types(x.dtype(), DType::kF32));
  if (settings.fast_variance) {
    const TensorList moments = over_named_axis(
        {masked_mean(value, axes, mask), masked_mean(abs_squared(value), axes, mask)}, settings);
    return {moments[0], maximum(moments[1] - abs_squared(moments[0]), 0)};
  }
  const Tensor mean = mean_of_all(value, axes, mask, settings);
  return {mean, mean_of_all(abs_squared(value - with_axes(mean, axes)), axes, mask, settings)};
}

BatchNormOutput batch_norm(const Tensor& x, const Statistics& running, const ScaleBias& parameters,
                           bool use_running_average, double momentum, const Tensor& mask,
                           const NormSettings& settings) {
  const Axes features = sorted_axes(settings.feature_axes, x.rank(), "batch_norm");
  const Axes reduced = other_axes(features, x.rank());
  const bool whole = features.size() == 1 && trailing(features, x.rank()) && is_floating(x.dtype());
  const DType dtype = output_dtype(x, parameters, settings);
  if (use_running_average) {
    if (!whole) return {normalised(x, running, reduced, parameters, settings), {}};
    const Tensor y = batch_norm_inference(operand_of(x, dtype), running.mean, running.variance,
                                          parameters.scale, parameters.bias, settings.epsilon);
    return {astype(y, dtype), {}};
  }
  BatchNormOutput out;
  if (x.size() == 0) {  // nothing was seen: nothing to normalise, and nothing to move towards
    out.y = normalised(x, running, reduced, parameters, settings);
    out.running = running;
    return out;
  }
  Statistics batch;
  if (whole && local_and_whole(x, mask, settings)) {
    BatchNormResult result =
        batch_norm_train(operand_of(x, dtype), parameters.scale, parameters.bias, settings.epsilon);
    out.y = astype(result.y, dtype);
    batch = {result.mean, result.variance};
  } else {
    batch = statistics(x, reduced, mask, settings);
    out.y = normalised(x, batch, reduced, parameters, settings);
  }
  // Where a mask leaves nothing of a feature, its average stays, as in an empty batch.
  const Tensor seen = mask.defined() ? seen_features(x, mask, reduced, settings) : Tensor();
  const auto moved = [&](const Tensor& old, const Tensor& now) {
    const Tensor next = astype(momentum * old + (1 - momentum) * now, old.dtype());
    return seen.defined() ? where(seen, next, old) : next;
  };
  out.running = {moved(running.mean, batch.mean), moved(running.variance, batch.variance)};
  return out;
}

Tensor layer_norm(const Tensor& x, const ScaleBias& parameters, const Axes& reduction_axes,
                  const Tensor& mask, const NormSettings& settings) {
  const Axes reduced = sorted_axes(reduction_axes, x.rank(), "layer_norm");
  const Axes features = sorted_axes(settings.feature_axes, x.rank(), "layer_norm");
  if (reduced == features && trailing(reduced, x.rank()) && local_and_whole(x, mask, settings)) {
    const DType dtype = output_dtype(x, parameters, settings);
    return astype(linnet::layer_norm(operand_of(x, dtype), parameters.scale, parameters.bias,
                                     settings.epsilon, static_cast<int64_t>(reduced.size())),
                  dtype);
  }
  return normalised(x, statistics(x, reduced, mask, settings), reduced, parameters, settings);
}

Tensor rms_norm(const Tensor& x, const Tensor& scale, const Axes& reduction_axes,
                const Tensor& mask, const NormSettings& settings) {
  const Axes reduced = sorted_axes(reduction_axes, x.rank(), "rms_norm");
  const Axes features = sorted_axes(settings.feature_axes, x.rank(), "rms_norm");
  const ScaleBias parameters{scale, {}};
  if (reduced == features && trailing(reduced, x.rank()) && local_and_whole(x, mask, settings)) {
    const DType dtype = output_dtype(x, parameters, settings);
    return astype(linnet::rms_norm(operand_of(x, dtype), scale, settings.epsilon,
                                   static_cast<int64_t>(reduced.size())),
                  dtype);
  }
  Tensor value = x;
  if (settings.force_float32) value = astype(x, promote_types(x.dtype(), DType::kF32));
  const Statistics mean_square{{}, mean_of_all(square(value), reduced, mask, settings)};
  return normalised(x, mean_square, reduced, parameters, settings);
}

int64_t group_count(int64_t channels, std::optional<int64_t> groups,
                    std::optional<int64_t> group_size) {
  if (groups.has_value() == group_size.has_value()) {
    fail<ValueError>("group_norm: give either the number of groups or the group size, not {}",
                     groups ? "both" : "neither");
  }
  const int64_t divisor = groups ? *groups : *group_size;
  if (divisor < 1 || channels % divisor) {
    fail<ValueError>("group_norm: {} {} does not divide {} channels",
                     groups ? "number of groups" : "group size", divisor, channels);
  }
  return groups ? *groups : channels / *group_size;
}

Tensor group_norm(const Tensor& x, const ScaleBias& parameters, int64_t groups,
                  const std::optional<Axes>& reduction_axes, const Tensor& mask,
                  const NormSettings& settings) {
  const int64_t last = static_cast<int64_t>(x.rank()) - 1;
  Axes reduced = reduction_axes ? sorted_axes(*reduction_axes, x.rank(), "group_norm") : Axes();
  if (!reduction_axes) {
    for (int64_t axis = 1; axis <= last; ++axis) reduced.push_back(axis);
  }
  if (reduced.empty() || reduced.back() != last) {
    fail<ValueError>(
        "group_norm: the reduction axes {} must include the last axis, which holds the channels",
        to_string(reduced));
  }
  const int64_t size = x.shape(-1) / groups;
  const auto grouped = [&](const Tensor& t, int64_t channels) {
    Shape shape = t.shape();
    shape[shape.size() - 1] = channels == 1 ? 1 : groups;
    shape.push_back(channels == 1 ? 1 : size);
    return reshape(t, shape);
  };
  Axes inner = reduced;
  inner[inner.size() - 1] = last + 1;
  const Tensor group_mask = mask.defined() ? grouped(mask, mask.shape(-1)) : mask;
  const Statistics s = statistics(grouped(x, x.shape(-1)), inner, group_mask, settings);
  const Axes rest(reduced.begin(), reduced.end() - 1);
  return normalised(x, {repeat(s.mean, size, -1), repeat(s.variance, size, -1)}, rest, parameters,
                    settings);
}

Tensor instance_norm(const Tensor& x, const ScaleBias& parameters, const Tensor& mask,
                     const NormSettings& settings) {
  const Axes features = sorted_axes(settings.feature_axes, x.rank(), "instance_norm");
  if (!features.empty() && features[0] == 0) {
    fail<ValueError>(
        "instance_norm: the first axis holds the examples and cannot be a feature axis");
  }
  Axes reduced;
  for (int64_t axis : other_axes(features, x.rank())) {
    if (axis != 0) reduced.push_back(axis);
  }
  return normalised(x, statistics(x, reduced, mask, settings), reduced, parameters, settings);
}

}  // namespace linnet::layers
