// Functions on whole trees (tree.h): as one vector, as one value.
//
//   auto [vector, unravel] = tree::ravel(params);        // f32[number of all elements]
//   Params moved = unravel(vector - 0.1 * direction);
//   Tensor largest = tree::reduce([](const Tensor& a, const Tensor& x) { return maximum(a,
//   max(abs(x))); },
//                                 params, scalar(0, DType::kF32));
#pragma once

#include <utility>

#include "linnet/ops.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::tree {

namespace detail {
/// All elements in order, in the dtype that all of them are promoted to; f32[0] for no tensors.
Tensor joined_flat(const TensorList& tensors);
/// Pieces of the shapes and dtypes of `like`.
/// @throws ShapeError unless `vector` has as many elements as all of them together.
TensorList pieces_of_flat(const Tensor& vector, const TensorList& like);
}  // namespace detail

/// Makes trees of a flat vector: of the structure, shapes and dtypes of the tree that was ravelled,
/// of which it holds a copy.
template <class T>
class Unravel {
 public:
  explicit Unravel(const T& prototype) : prototype_(copy(prototype)) {}
  /// @throws ShapeError unless `vector` is [n], n the number of all elements.
  T operator()(const Tensor& vector) const {
    return unflatten(prototype_, detail::pieces_of_flat(vector, leaves(prototype_)));
  }

 private:
  T prototype_;
};

/// The elements of all leaves as one vector [n], in the dtype that they are promoted to together,
/// and the way back (`jax.flatten_util.ravel_pytree`).
template <class T>
std::pair<Tensor, Unravel<T>> ravel(const T& object) {
  return {detail::joined_flat(leaves(object)), Unravel<T>(object)};
}

/// f(... f(f(initial, leaf), leaf) ..., leaf).
template <class F, class T, class A>
A reduce(F&& f, const T& object, A initial) {
  for (const Tensor& leaf : leaves(object)) initial = f(std::move(initial), leaf);
  return initial;
}

/// bool[]: whether all elements of all leaves are true, or not zero.
template <class T>
Tensor all(const T& object) {
  return reduce(
      [](const Tensor& a, const Tensor& leaf) { return logical_and(a, linnet::all(leaf)); }, object,
      full({}, true));
}

}  // namespace linnet::tree

#pragma GCC visibility pop
