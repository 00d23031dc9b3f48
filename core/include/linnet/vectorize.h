// Functions of small arrays for arrays of any leading shape, as jax.numpy.vectorize.
//
//   auto mean_of = vectorize([](const Tensor& m, const Tensor& v) { return matmul(m, v); },
//                            "(n,m),(m)->(n)");
//   Tensor y = mean_of(ones({5, 1, 3, 4}), ones({2, 4}));    // f32[5,2,3]
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet {

namespace detail {

using ListFunction = std::function<Tensor(const TensorList&)>;
/// @throws ValueError for a signature that cannot be read, ShapeError for operands that do not fit
/// it.
Tensor vectorized_call(const std::string& signature, const TensorList& operands,
                       const ListFunction& f);
Tensor along_axis_call(const ListFunction& f, int64_t axis, const Tensor& x);

}  // namespace detail

/// `f`, which takes and gives arrays of the axes that the signature names, for operands with any
/// axes in front, which broadcast (J-016). An axis of one name has one size, in results too.
template <class F>
auto vectorize(F f, std::string signature) {
  return [f = std::move(f), signature = std::move(signature)]<class... A>(const A&... operands) {
    const auto flat = [&f](const TensorList& x) {
      return [&]<size_t... I>(std::index_sequence<I...>) {
        return Tensor(f(x[I]...));
      }(std::index_sequence_for<A...>());
    };
    return detail::vectorized_call(signature, {Tensor(operands)...}, flat);
  };
}

/// `f` of every vector along `axis`; the axes of its result come in the place of that axis (J-016).
template <class F>
Tensor apply_along_axis(F f, int64_t axis, const Tensor& x) {
  return detail::along_axis_call([&f](const TensorList& v) { return Tensor(f(v[0])); }, axis, x);
}

}  // namespace linnet

#pragma GCC visibility pop
