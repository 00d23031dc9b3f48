// Keys: making, splitting and folding, and raw bits.
#include "core/ops/random.h"
#include "linnet/detail/format.h"
#include "linnet/random.h"

namespace linnet::random {
namespace {

thread_local Layout current_layout = Layout::kPartitionable;

Tensor words(uint32_t high, uint32_t low) { return tensor({high, low}); }

}  // namespace

Layout layout() { return current_layout; }
LayoutScope::LayoutScope(Layout layout) : previous_(current_layout) { current_layout = layout; }
LayoutScope::~LayoutScope() { current_layout = previous_; }

Key::Key(int64_t seed) : data_(words(0, static_cast<uint32_t>(seed))) {}

Key::Key(Tensor data) : data_(std::move(data)) { key_array_shape("Key", data_); }

Shape Key::shape() const { return Shape(data_.shape().begin(), data_.shape().end() - 1); }

Key Key::operator[](int64_t index) const {
  length();
  return Key(data_[index]);
}

int64_t Key::length() const {
  if (data_.rank() < 2)
    fail<ShapeError>("Key: a single key cannot be indexed\n  hint: split makes an array of keys");
  return data_.shape()[0];
}

Key Key::one_of_two(int64_t index) const {
  if (length() != 2) {
    fail<ShapeError>(
        "Key: {} keys cannot be taken apart into two names\n  hint: auto [a, b, c] = split<3>(key)",
        length());
  }
  return (*this)[index];
}

Key wide_key(int64_t seed) {
  const uint64_t bits = static_cast<uint64_t>(seed);
  return Key(words(static_cast<uint32_t>(bits >> 32), static_cast<uint32_t>(bits)));
}

Key split(const Key& key, int64_t count) { return split(key, Shape{count}); }

Key split(const Key& key, const Shape& shape) {
  return Key(
      emit_one(random_split_primitive(), {key.data()}, RandomParams{shape, DType::kU32, layout()}));
}

Key fold_in(const Key& key, uint32_t data) {
  return fold_in(key, scalar_integer(data, DType::kU32));
}

Key fold_in(const Key& key, const Tensor& data) {
  if (!is_integer(data.dtype()))
    fail<DTypeError>("fold_in: expected an integer, got {}", to_string(data.type()));
  const Shape shape = broadcast_shapes("fold_in", key.shape(), data.shape());
  Shape with_words = shape;
  with_words.push_back(2);
  return Key(emit_one(
      random_fold_in_primitive(),
      {broadcast_to(key.data(), with_words), broadcast_to(astype(data, DType::kU32), shape)}));
}

Tensor bits(const Key& key, const Shape& shape, DType dtype) {
  return emit_one(random_bits_primitive(), {key.data()}, RandomParams{shape, dtype, layout()});
}

}  // namespace linnet::random
