// Primitives of samplers with loops, and the matrix factors that samplers need.
#include "core/ops/dims.h"
#include "core/ops/random.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

void check_leading_keys(const char* operation, Inputs x) {
  const Shape keys = key_array_shape(operation, x[0]);
  const Shape& shape = x[1].shape();
  if (shape.size() < keys.size() || !std::equal(keys.begin(), keys.end(), shape.begin())) {
    fail<ShapeError>("{}: expected parameters that begin with the shape of the keys {}, got {}",
                     operation, to_string(keys), to_string(x[1].type()));
  }
}

TypeList infer_gamma(const RandomGammaParams&, Inputs x) {
  check_leading_keys("random_gamma", x);
  const DType dtype = x[1].dtype();
  if (dtype != DType::kF32 && dtype != DType::kF64) {
    fail<DTypeError>("random_gamma: expected parameters in f32 or f64, got {}",
                     to_string(x[1].type()));
  }
  return {{dtype, x[1].shape(), false, x[1].device()}};
}

TypeList infer_poisson(const RandomParams&, Inputs x) {
  check_leading_keys("random_poisson", x);
  if (x[1].dtype() != DType::kF32)
    fail<DTypeError>("random_poisson: expected f32, got {}", to_string(x[1].type()));
  return {{DType::kI64, x[1].shape(), false, x[1].device()}};
}

TypeList infer_qr(const NoParams&, Inputs x) {
  if (!is_floating(x[0].dtype()) || x[0].rank() < 2 || x[0].shape(-2) < x[0].shape(-1)) {
    fail<ShapeError>(
        "qr_orthogonal: expected floating matrices with no more columns than rows, got {}",
        to_string(x[0].type()));
  }
  return {{x[0].dtype(), x[0].shape(), false, x[0].device()}};
}

TypeList infer_cholesky(const NoParams&, Inputs x) {
  if (!is_floating(x[0].dtype()) || x[0].rank() < 2 || x[0].shape(-2) != x[0].shape(-1)) {
    fail<ShapeError>("cholesky: expected floating square matrices, got {}", to_string(x[0].type()));
  }
  return {{x[0].dtype(), x[0].shape(), false, x[0].device()}};
}

/// Matrices are the last two dimensions.
DimMap matrix_dims(const NoParams&, Inputs x) {
  return dims::leading(x, {x[0].type()}, x[0].rank() - 2);
}

}  // namespace

const Primitive& random_gamma_primitive() {
  static const Primitive& p =
      define(Opaque<RandomGammaParams>{.name = "random_gamma",
                                       .infer = infer_gamma,
                                       .dims = key_dims<RandomGammaParams, infer_gamma>,
                                       .zero_derivative = false});
  return p;
}

const Primitive& random_poisson_primitive() {
  static const Primitive& p =
      define(Opaque<RandomParams>{.name = "random_poisson",
                                  .infer = infer_poisson,
                                  .dims = key_dims<RandomParams, infer_poisson>});
  return p;
}

const Primitive& qr_orthogonal_primitive() {
  static const Primitive& p = define(Opaque<NoParams>{
      .name = "qr_orthogonal", .infer = infer_qr, .dims = matrix_dims, .zero_derivative = false});
  return p;
}

const Primitive& cholesky_primitive() {
  static const Primitive& p = define(Opaque<NoParams>{
      .name = "cholesky", .infer = infer_cholesky, .dims = matrix_dims, .zero_derivative = false});
  return p;
}

void define_random_rejection() {
  random_gamma_primitive();
  random_poisson_primitive();
  qr_orthogonal_primitive();
  cholesky_primitive();
}

}  // namespace linnet
