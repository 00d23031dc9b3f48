// Private: what the samplers share.
#pragma once

#include "core/ops/elementwise.h"
#include "linnet/random.h"

namespace linnet::random {

/// @throws ShapeError if `key` is an array of keys; `operation` begins the text.
void require_single_key(const char* operation, const Key& key);

/// `count` keys from each key.
std::vector<Key> subkeys(const Key& key, int64_t count);

/// The shape of a key array followed by `shape`.
Shape joined(const Key& key, const Shape& shape);

/// A parameter in the result's dtype, strongly typed.
inline Tensor parameter(const Tensor& x, DType dtype) { return convert(x, {dtype, false}); }

/// The floating dtype of a sampler's result: that of its parameters, f32 for literals and integers.
DType sample_dtype(std::initializer_list<Tensor> parameters);

/// The given shape, or the common shape of the parameters.
/// @throws ShapeError if the parameters do not broadcast to the given shape.
Shape sample_shape(const char* operation, const std::optional<Shape>& shape,
                   std::initializer_list<Tensor> parameters);

}  // namespace linnet::random
