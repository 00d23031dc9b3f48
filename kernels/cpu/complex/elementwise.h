// Elementwise functions of complex numbers, their parts, and conversions, on raw strided memory as
// in elementwise/elementwise.h.
#pragma once

#include "kernels/cpu/elementwise/elementwise.h"

namespace linnet::cpu {

/// Whether complex_elementwise takes this function.
bool supports_complex(ScalarOp op);

/// As `elementwise` for c64 and c128; `param` is the exponent of `integer_pow`. Branch cuts and the
/// values at infinities and NaN are those of C's Annex G, except for products, which are computed
/// as written.
/// @throws DTypeError if the function does not take complex numbers.
void complex_elementwise(ScalarOp op, DType dtype, double param, std::span<const int64_t> shape,
                         std::span<const Operand> in, const Destination& out);

/// Converts from or to a complex dtype. A complex number becomes its real part, or whether it is
/// not zero.
void complex_cast(DType from, DType to, std::span<const int64_t> shape, const Operand& in,
                  const Destination& out);

/// Functions of one complex number; all but the conjugate are real.
enum class ComplexPart : uint8_t { kReal, kImag, kConj, kAbs };
void complex_part(ComplexPart part, DType dtype, std::span<const int64_t> shape, const Operand& in,
                  const Destination& out);

/// re + i im in the complex `dtype`.
void make_complex(DType dtype, std::span<const int64_t> shape, std::span<const Operand> in,
                  const Destination& out);

}  // namespace linnet::cpu
