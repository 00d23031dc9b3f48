// Initial values of parameters. An initialiser makes a tensor from a key, a shape and a dtype; the
// same key gives the same values as in JAX (docs/rng.md section 7).
//
//   Tensor kernel = init::lecun_normal()(Key(0), {784, 256}, DType::kF32);
//   linen::Dense{.features = 10, .kernel_init = init::normal(0.02)}
//
// Everything is sampled and scaled in the dtype asked for. Of complex dtypes there are zeros, ones,
// constants, `normal`, and what scales a variance.
#pragma once

#include <functional>
#include <optional>

#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet {

/// (key, shape, dtype) -> values (J-044).
using Initializer = std::function<Tensor(const Key&, const Shape&, DType)>;

namespace init {

/// `initializer` with a dtype of its own, whatever dtype is asked for.
Initializer with_dtype(Initializer initializer, DType dtype);

/// Constants; the key is not used.
Initializer zeros();
Initializer ones();
Initializer constant(const Tensor& value);
/// Uniform on [0, scale).
Initializer uniform(double scale = 0.01);
Initializer normal(double stddev = 0.01);
/// A standard normal number cut to (lower, upper), times `stddev`; the variance lost is not made up
/// for.
Initializer truncated_normal(double stddev = 0.01, double lower = -2, double upper = 2);

/// Which number of connections the variance is divided by.
enum class FanMode : uint8_t { kFanIn, kFanOut, kFanAvg, kFanGeoAvg };
enum class Distribution : uint8_t { kTruncatedNormal, kNormal, kUniform };

/// The axes that count as inputs, outputs and independent copies; all others are the receptive
/// field. The fans are the sizes of inputs or outputs times the receptive field.
struct FanAxes {
  Axes in{-2}, out{-1}, batch{};
};
/// Variance scale / fan, by a truncated normal (cut at two standard deviations, with corrected
/// variance), normal or symmetric uniform distribution (J-049). Of complex numbers the modulus is
/// cut, and the uniform ones fill a disc (J-050).
/// @throws ShapeError when called for a shape that lacks an axis.
Initializer variance_scaling(double scale, FanMode mode, Distribution distribution,
                             const FanAxes& axes = {});

/// Scale 1 over fan-in; `normal` means truncated normal here and below.
Initializer lecun_normal(const FanAxes& axes = {});
Initializer lecun_uniform(const FanAxes& axes = {});
/// Scale 1 over the mean of both fans (Xavier).
Initializer glorot_normal(const FanAxes& axes = {});
Initializer glorot_uniform(const FanAxes& axes = {});
/// Scale 2 over fan-in (Kaiming).
Initializer he_normal(const FanAxes& axes = {});
Initializer he_uniform(const FanAxes& axes = {});
inline Initializer xavier_normal(const FanAxes& axes = {}) { return glorot_normal(axes); }
inline Initializer xavier_uniform(const FanAxes& axes = {}) { return glorot_uniform(axes); }
inline Initializer kaiming_normal(const FanAxes& axes = {}) { return he_normal(axes); }
inline Initializer kaiming_uniform(const FanAxes& axes = {}) { return he_uniform(axes); }

/// A random matrix with orthonormal columns (or rows, if there are fewer), times `scale`: columns
/// along `column_axis`, rows along all other axes together (J-052).
/// @throws ShapeError for shapes of fewer than two axes.
Initializer orthogonal(double scale = 1, int64_t column_axis = -1);
/// Convolution kernels [spatial..., in, out], 3 to 5 axes, that are orthogonal at the spatial
/// centre and zero elsewhere (J-053).
/// @throws ShapeError for other shapes, and if out is less than in.
Initializer delta_orthogonal(double scale = 1, int64_t column_axis = -1);

}  // namespace init
}  // namespace linnet

#pragma GCC visibility pop
