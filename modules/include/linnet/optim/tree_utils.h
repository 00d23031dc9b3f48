// Arithmetic on trees of parameters, and transformations made of functions (J-099, J-105, J-106).
//
//   target = optim::incremental_update(params, target, 0.005);      // Polyak averaging
//   auto tx = optim::named_chain({{"clip", optim::clip(1.0)}, {"adam", optim::scale_by_adam()}});
//   const TensorList& means = tx.part(state, "adam").lists.at("mu");
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/ops.h"
#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// step_size next + (1 - step_size) old, leaf by leaf.
/// @throws TreeError if the structures differ, as all functions of two trees here.
template <class Tree>
Tree incremental_update(const Tree& next, const Tree& old, const Tensor& step_size) {
  return tree::map(next, old, [&](const Tensor& n, const Tensor& o) {
    return step_size * n + (1 - step_size) * o;
  });
}
/// `next` where `steps` is a multiple of `period`, else `old`.
template <class Tree>
Tree periodic_update(const Tree& next, const Tree& old, const Tensor& steps, int64_t period) {
  const Tensor due = equal(mod(steps, period), 0);
  return tree::map(next, old, [&](const Tensor& n, const Tensor& o) { return where(due, n, o); });
}

template <class Tree>
Tree tree_add(const Tree& a, const Tree& b) {
  return tree::map(a, b, [](const Tensor& x, const Tensor& y) { return x + y; });
}
template <class Tree>
Tree tree_sub(const Tree& a, const Tree& b) {
  return tree::map(a, b, [](const Tensor& x, const Tensor& y) { return x - y; });
}
template <class Tree>
Tree tree_mul(const Tree& a, const Tree& b) {
  return tree::map(a, b, [](const Tensor& x, const Tensor& y) { return x * y; });
}
/// factor a.
template <class Tree>
Tree tree_scale(const Tensor& factor, const Tree& a) {
  return tree::map(a, [&](const Tensor& x) { return factor * x; });
}
/// a + factor b.
template <class Tree>
Tree tree_add_scale(const Tree& a, const Tensor& factor, const Tree& b) {
  return tree::map(a, b, [&](const Tensor& x, const Tensor& y) { return x + factor * y; });
}
template <class Tree>
Tree tree_full_like(const Tree& a, double value) {
  return tree::map(a, [&](const Tensor& x) { return full_like(x, value); });
}
template <class Tree>
Tree tree_zeros_like(const Tree& a) {
  return tree_full_like(a, 0);
}
/// The sum of all elements.
template <class Tree>
Tensor tree_sum(const Tree& a) {
  Tensor total = scalar(0, DType::kF32);
  for (const Tensor& x : tree::leaves(a)) total = total + sum(x);
  return total;
}
/// The sum of the products of all elements.
template <class Tree>
Tensor tree_vdot(const Tree& a, const Tree& b) {
  return tree_sum(tree_mul(a, b));
}
/// The square root of the sum of all squares.
template <class Tree>
Tensor tree_norm(const Tree& a) {
  return global_norm(tree::leaves(a));
}

/// Updates that depend on nothing but gradients and parameters.
GradientTransformation stateless(
    Function<TensorList(const TensorList& grads, const TensorList& params)> update);

/// A chain whose parts have names.
struct NamedChain : GradientTransformation {
  std::vector<std::string> names;
  /// The state of a part. @throws ValueError listing the names if there is none of this one.
  TransformState& part(TransformState& state, std::string_view name) const;
  const TransformState& part(const TransformState& state, std::string_view name) const;
};
/// @throws ValueError if two parts have one name.
NamedChain named_chain(std::vector<std::pair<std::string, GradientTransformation>> parts);

}  // namespace linnet::optim

#pragma GCC visibility pop
