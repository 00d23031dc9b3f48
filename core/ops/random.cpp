#include "core/ops/random.h"
#include "core/ops/scalar_primitives.h"

#include "core/ops/dims.h"
#include "core/ops/families.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

Shape key_array_shape(const char* operation, const Tensor& data) {
  if (data.dtype() != DType::kU32) {
    fail<DTypeError>(
        "{}: expected key data u32[..., 2], got {}\n  hint: random::Key(seed) makes a key",
        operation, to_string(data.type()));
  }
  if (data.rank() == 0 || data.shape().back() != 2) {
    fail<ShapeError>("{}: expected key data u32[..., 2], got {}", operation,
                     to_string(data.type()));
  }
  return Shape(data.shape().begin(), data.shape().end() - 1);
}

namespace {

Shape sample_shape(const char* operation, Inputs x, const Shape& shape) {
  Shape out = key_array_shape(operation, x[0]);
  for (int64_t size : shape) {
    if (size < 0)
      fail<ShapeError>("{}: sizes must not be negative, got {}", operation, to_string(shape));
    out.push_back(size);
  }
  return out;
}

TypeList infer_bits(const RandomParams& p, Inputs x) {
  if (!is_unsigned_integer(p.dtype)) {
    fail<DTypeError>("random_bits: expected u8, u16, u32 or u64, got {}", name_of(p.dtype));
  }
  return {{p.dtype, sample_shape("random_bits", x, p.shape), false, x[0].device()}};
}

TypeList infer_split(const RandomParams& p, Inputs x) {
  Shape shape = sample_shape("random_split", x, p.shape);
  shape.push_back(2);
  return {{DType::kU32, shape, false, x[0].device()}};
}

TypeList infer_fold_in(const NoParams&, Inputs x) {
  const Shape keys = key_array_shape("random_fold_in", x[0]);
  if (x[1].dtype() != DType::kU32 || x[1].shape() != keys) {
    fail<ShapeError>("random_fold_in: expected one number per key, {}, got {}",
                     type_string(DType::kU32, keys), to_string(x[1].type()));
  }
  return {{DType::kU32, x[0].shape(), false, x[0].device()}};
}

template <class P>
TypeList infer_floating(const char* name, const P& p, Inputs x) {
  if (!is_floating(p.dtype))
    fail<DTypeError>("{}: expected a floating dtype, got {}", name, name_of(p.dtype));
  return {{p.dtype, sample_shape(name, x, p.shape), false, x[0].device()}};
}

TypeList infer_uniform(const RandomRangeParams& p, Inputs x) {
  return infer_floating("random_uniform", p, x);
}
TypeList infer_normal(const RandomParams& p, Inputs x) {
  return infer_floating("random_normal", p, x);
}
TypeList infer_truncated_normal(const RandomRangeParams& p, Inputs x) {
  return infer_floating("random_truncated_normal", p, x);
}

}  // namespace

const Primitive& random_bits_primitive() {
  static const Primitive& p = define(Opaque<RandomParams>{
      .name = "random_bits", .infer = infer_bits, .dims = key_dims<RandomParams, infer_bits>});
  return p;
}

const Primitive& random_split_primitive() {
  static const Primitive& p = define(Opaque<RandomParams>{
      .name = "random_split", .infer = infer_split, .dims = key_dims<RandomParams, infer_split>});
  return p;
}

const Primitive& random_fold_in_primitive() {
  static const Primitive& p = define(Opaque<NoParams>{
      .name = "random_fold_in", .infer = infer_fold_in, .dims = key_dims<NoParams, infer_fold_in>});
  return p;
}

const Primitive& random_uniform_primitive() {
  static const Primitive& p =
      define(Opaque<RandomRangeParams>{.name = "random_uniform",
                                       .infer = infer_uniform,
                                       .dims = key_dims<RandomRangeParams, infer_uniform>});
  return p;
}

const Primitive& random_normal_primitive() {
  static const Primitive& p =
      define(Opaque<RandomParams>{.name = "random_normal",
                                  .infer = infer_normal,
                                  .dims = key_dims<RandomParams, infer_normal>});
  return p;
}

const Primitive& random_truncated_normal_primitive() {
  static const Primitive& p = define(
      Opaque<RandomRangeParams>{.name = "random_truncated_normal",
                                .infer = infer_truncated_normal,
                                .dims = key_dims<RandomRangeParams, infer_truncated_normal>});
  return p;
}

const Primitive& fma_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "fma",
                                   .arity = 3,
                                   .partials =
                                       [](const NoParams&, Inputs x, Outputs) {
                                         return TensorList{x[1], x[0], ones_like(x[2])};
                                       },
                                   .vjp =
                                       [](const NoParams&, Inputs x, Outputs, const Tensor& ct) {
                                         return TensorList{ct * x[1], ct * x[0], ct};
                                       },
                                   .saves_inputs = bits_of({0, 1}),
                                   .saves_outputs = 0});
  return p;
}

void define_random() {
  random_bits_primitive();
  random_split_primitive();
  random_fold_in_primitive();
  random_uniform_primitive();
  random_normal_primitive();
  random_truncated_normal_primitive();
  dropout_primitive();
  define_random_rejection();
}

}  // namespace linnet
