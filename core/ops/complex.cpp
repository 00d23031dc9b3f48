// Functions of linnet/complex.h. The transposes are those of maps that are linear over the real
// numbers, with the pairing of JAX: <ct, t> is the real part of ct * t, nothing conjugated.
#include "core/ops/complex.h"

#include "core/ops/elementwise.h"
#include "core/ops/families.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

TypeList infer_complex(const NoParams&, Inputs x) {
  expect_operands("complex", 2, x);
  const TensorType re = x[0].type(), im = x[1].type();
  if (re.dtype != im.dtype || (re.dtype != DType::kF32 && re.dtype != DType::kF64)) {
    fail<DTypeError>("complex: expected two parts in f32 or two in f64, got {} and {}",
                     to_string(re), to_string(im));
  }
  if (re.shape != im.shape)
    fail<ShapeError>("complex: shapes differ: {} and {}", to_string(re), to_string(im));
  return {{complex_dtype_of(re.dtype), re.shape, re.weak && im.weak, re.device}};
}

void expect_complex(const char* name, Inputs x) {
  expect_operands(name, 1, x);
  if (!is_complex(x[0].dtype()))
    fail<DTypeError>("{}: expected a complex dtype, got {}", name, to_string(x[0].type()));
}

/// Of functions from complex numbers to real ones.
TypeList infer_part(const char* name, Inputs x) {
  expect_complex(name, x);
  return {{real_dtype_of(x[0].dtype()), x[0].shape(), x[0].weak(), x[0].device()}};
}

/// conj(z) / |z|, and 0 at 0: where the derivative does not exist.
Tensor direction(const Tensor& z, const Tensor& size) {
  return conj(z) / where(equal(size, 0), 1, size);
}

}  // namespace

const Primitive& complex_primitive() {
  static const Primitive& p =
      define(LinearMap<NoParams>{.name = "complex",
                                 .infer = infer_complex,
                                 .transpose =
                                     [](const NoParams&, Inputs, const Tensor& ct) {
                                       return TensorList{real(ct), neg(imag(ct))};
                                     },
                                 .pointwise = true});
  return p;
}

const Primitive& real_primitive() {
  static const Primitive& p = define(LinearMap<NoParams>{
      .name = "real",
      .infer = [](const NoParams&, Inputs x) { return infer_part("real", x); },
      .transpose = [](const NoParams&, Inputs,
                      const Tensor& ct) { return TensorList{complex(ct, zeros_like(ct))}; },
      .pointwise = true,
      .complex = true});
  return p;
}

const Primitive& imag_primitive() {
  static const Primitive& p = define(LinearMap<NoParams>{
      .name = "imag",
      .infer = [](const NoParams&, Inputs x) { return infer_part("imag", x); },
      .transpose = [](const NoParams&, Inputs,
                      const Tensor& ct) { return TensorList{complex(zeros_like(ct), neg(ct))}; },
      .pointwise = true,
      .complex = true});
  return p;
}

const Primitive& conj_primitive() {
  static const Primitive& p = define(LinearMap<NoParams>{
      .name = "conj",
      .infer =
          [](const NoParams&, Inputs x) {
            expect_complex("conj", x);
            return TypeList{x[0].type()};
          },
      .transpose = [](const NoParams&, Inputs, const Tensor& ct) { return TensorList{conj(ct)}; },
      .pointwise = true,
      .complex = true});
  return p;
}

const Primitive& complex_abs_primitive() {
  static const Primitive& p = define(Smooth<NoParams>{
      .name = "complex_abs",
      .infer = [](const NoParams&, Inputs x) { return infer_part("complex_abs", x); },
      .vjp = [](const NoParams&, Inputs x, Outputs y,
                Inputs cts) { return TensorList{cts[0] * direction(x[0], y[0])}; },
      .jvp = [](const NoParams&, Inputs x, Outputs y,
                Inputs t) { return TensorList{real(t[0] * direction(x[0], y[0]))}; },
      .batch = [](const NoParams&,
                  const BatchedInputs& in) { return emit(complex_abs_primitive(), in.x); },
      .complex = true});
  return p;
}

void define_complex() {
  complex_primitive();
  real_primitive();
  imag_primitive();
  conj_primitive();
  complex_abs_primitive();
}

Tensor complex(const Tensor& re, const Tensor& im) {
  const auto [a, b] = promote_and_broadcast("complex", to_floating(re), to_floating(im));
  if (is_complex(a.dtype())) {
    fail<DTypeError>("complex: expected two real tensors, got {} and {}", to_string(re.type()),
                     to_string(im.type()));
  }
  const DType part = real_dtype_of(complex_dtype_of(a.dtype()));
  const auto wide = [part](const Tensor& x) {
    return x.dtype() == part ? x : convert(x, {part, x.weak()});
  };
  return emit_one(complex_primitive(), {wide(a), wide(b)});
}

Tensor real(const Tensor& z) { return is_complex(z.dtype()) ? emit_one(real_primitive(), {z}) : z; }
Tensor imag(const Tensor& z) {
  return is_complex(z.dtype()) ? emit_one(imag_primitive(), {z}) : zeros_like(z);
}
Tensor conj(const Tensor& z) { return is_complex(z.dtype()) ? emit_one(conj_primitive(), {z}) : z; }
Tensor abs_squared(const Tensor& z) {
  return is_complex(z.dtype()) ? square(real(z)) + square(imag(z)) : square(z);
}
Tensor angle(const Tensor& z) { return atan2(imag(z), real(z)); }

}  // namespace linnet
