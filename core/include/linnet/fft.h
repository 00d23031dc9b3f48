// Discrete Fourier transforms as jax.numpy.fft has them, with derivatives of every order.
//
//   Tensor spectrum = fft::rfft(signal);                       // f32[..., n] -> c64[..., n / 2 +
//   1] Tensor filtered = fft::irfft(spectrum * response, n);      // f32[..., n] Tensor image =
//   fft::ifft2(fft::fftshift(k_space, {{-2, -1}}));
//
// Real and integer operands of complex transforms become complex; f16 and bf16 are computed in f32.
// Lengths crop or pad with zeros behind. The umbrella header does not include this one.
#pragma once

#include <optional>
#include <vector>

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::fft {

/// What transforms of N elements are divided by.
enum class Norm : uint8_t {
  kBackward,  ///< forward 1, inverse N
  kOrtho,     ///< both √N
  kForward    ///< forward N, inverse 1
};

/// y[k] = Σ_j x[j] e^(-2πi jk / n) along one axis of n elements; the inverse has e^(+…).
/// @throws ShapeError for n < 1.
Tensor fft(const Tensor& x, std::optional<int64_t> n = {}, int64_t axis = -1,
           Norm norm = Norm::kBackward);
Tensor ifft(const Tensor& x, std::optional<int64_t> n = {}, int64_t axis = -1,
            Norm norm = Norm::kBackward);
/// The elements 0 … n / 2 of the transform of a real tensor, which say all of it.
/// @throws DTypeError for a complex one.
Tensor rfft(const Tensor& x, std::optional<int64_t> n = {}, int64_t axis = -1,
            Norm norm = Norm::kBackward);
/// The real tensor of n elements that has this half of a transform; n is 2 (m - 1) for m elements
/// if it is not given.
Tensor irfft(const Tensor& x, std::optional<int64_t> n = {}, int64_t axis = -1,
             Norm norm = Norm::kBackward);
/// The transform of a tensor given by its half, because its transform is real; and its inverse.
Tensor hfft(const Tensor& x, std::optional<int64_t> n = {}, int64_t axis = -1,
            Norm norm = Norm::kBackward);
Tensor ihfft(const Tensor& x, std::optional<int64_t> n = {}, int64_t axis = -1,
             Norm norm = Norm::kBackward);

using Lengths = std::optional<std::vector<int64_t>>;
using TransformAxes = std::optional<std::vector<int64_t>>;

/// Along several axes, or all; `s` has their lengths. Of the real transforms the last of the axes
/// is the halved one.
Tensor fftn(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {},
            Norm norm = Norm::kBackward);
Tensor ifftn(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {},
             Norm norm = Norm::kBackward);
Tensor rfftn(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {},
             Norm norm = Norm::kBackward);
Tensor irfftn(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {},
              Norm norm = Norm::kBackward);
/// Along the last two axes.
Tensor fft2(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {{-2, -1}},
            Norm norm = Norm::kBackward);
Tensor ifft2(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {{-2, -1}},
             Norm norm = Norm::kBackward);
Tensor rfft2(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {{-2, -1}},
             Norm norm = Norm::kBackward);
Tensor irfft2(const Tensor& x, const Lengths& s = {}, const TransformAxes& axes = {{-2, -1}},
              Norm norm = Norm::kBackward);

/// The frequencies of the n elements of `fft`, in cycles per unit of the spacing d, and of the
/// n / 2 + 1 of `rfft`.
/// @throws ValueError for n < 1.
Tensor fftfreq(int64_t n, double d = 1, DType dtype = DType::kF32);
Tensor rfftfreq(int64_t n, double d = 1, DType dtype = DType::kF32);

/// Moves frequency zero to the middle of the axes (of all if none are given), and back.
Tensor fftshift(const Tensor& x, const TransformAxes& axes = {});
Tensor ifftshift(const Tensor& x, const TransformAxes& axes = {});

}  // namespace linnet::fft

#pragma GCC visibility pop
