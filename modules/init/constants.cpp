// Initialisers whose values do not depend on the shape.
#include "linnet/init.h"

namespace linnet::init {

Initializer with_dtype(Initializer initializer, DType dtype) {
  return [initializer = std::move(initializer), dtype](const Key& key, const Shape& shape, DType) {
    return initializer(key, shape, dtype);
  };
}

Initializer zeros() {
  return [](const Key&, const Shape& shape, DType dtype) { return linnet::zeros(shape, dtype); };
}

Initializer ones() {
  return [](const Key&, const Shape& shape, DType dtype) { return linnet::ones(shape, dtype); };
}

Initializer constant(const Tensor& value) {
  return [value](const Key&, const Shape& shape, DType dtype) {
    return value.rank() == 0 ? full(shape, value, dtype)
                             : broadcast_to(astype(value, dtype), shape);
  };
}

Initializer uniform(double scale) {
  return [scale](const Key& key, const Shape& shape, DType dtype) {
    return random::uniform(key, shape, dtype) * scale;
  };
}

Initializer normal(double stddev) {
  return [stddev](const Key& key, const Shape& shape, DType dtype) {
    return random::normal(key, shape, dtype) * stddev;
  };
}

Initializer truncated_normal(double stddev, double lower, double upper) {
  return [stddev, lower, upper](const Key& key, const Shape& shape, DType dtype) {
    return random::truncated_normal(key, lower, upper, shape, dtype) * stddev;
  };
}

}  // namespace linnet::init
