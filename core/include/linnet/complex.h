// Complex numbers: their parts, and functions that are not those of real ones. Arithmetic, powers,
// exponentials, trigonometric functions, sums and products of ops.h take complex tensors as they
// are; what has no meaning for them, such as an order, throws DTypeError.
//
//   Tensor z = tensor({std::complex<float>(3, 4), std::complex<float>(0, -1)});   // c64[2]
//   Tensor r = abs(z), phi = angle(z);                                            // f32[2]
//   Tensor same = complex(r * cos(phi), r * sin(phi));
//
// Derivatives follow JAX: the gradient of a real function f of z = x + iy is df/dx - i df/dy, which
// is the complex derivative for holomorphic functions; a step downhill goes along its conjugate.
// The umbrella header does not include this one.
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

/// re + i im, of two floating tensors that are promoted and broadcast: f32 and shorter give c64,
/// f64 gives c128. Integers become f32.
/// @throws DTypeError if an operand is complex.
Tensor complex(const Tensor& re, const Tensor& im);

/// The parts of a complex tensor (f32 of c64, f64 of c128). A real tensor is its own real part, and
/// has zeros as imaginary part.
Tensor real(const Tensor& z);
Tensor imag(const Tensor& z);

/// re - i im; real tensors as they are.
Tensor conj(const Tensor& z);

/// |z|², which is real: re² + im², and the square of a real tensor.
Tensor abs_squared(const Tensor& z);

/// atan2(imag, real), from -π to π. Integers become f32.
Tensor angle(const Tensor& z);

}  // namespace linnet

#pragma GCC visibility pop
