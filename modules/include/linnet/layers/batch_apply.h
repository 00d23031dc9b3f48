// Functions over more batch dimensions than they are written for.
//
//   auto f = linen::BatchApply{[](const Tensor& x) { return matmul(x, w); }};
//   f(x)        // f32[2,3,5] -> as f32[6,5], and the result's first dimension split again
#pragma once

#include <utility>

#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

namespace detail {

/// The sizes of the first `count` dimensions, of the first tensor that has so many.
/// @throws ValueError if none has.
Shape leading_sizes(const TensorList& tensors, int64_t count);
/// The first `count` dimensions as one, of tensors that have more.
TensorList with_merged_dimensions(TensorList tensors, int64_t count);
/// The first dimension as `sizes`.
TensorList with_split_dimension(TensorList tensors, const Shape& sizes);

}  // namespace detail

/// Merges the first `num_dims` dimensions of all tensors among the arguments, calls `f`, and splits
/// the first dimension of its results (L-162). Tensors of fewer dimensions are handed on as they
/// are.
template <class F>
struct BatchApply {
  F f;
  int64_t num_dims = 2;

  template <class... A>
  auto operator()(const A&... args) const {
    linnet::detail::CallOf<const F, A...> call(args...);
    const Shape sizes = detail::leading_sizes(call.inputs(), num_dims);
    const TensorList out = call.run(f, detail::with_merged_dimensions(call.inputs(), num_dims));
    return call.result(detail::with_split_dimension(out, sizes));
  }
};
template <class F>
BatchApply(F) -> BatchApply<F>;
template <class F>
BatchApply(F, int64_t) -> BatchApply<F>;

}  // namespace linnet::layers

namespace linnet::linen {
using layers::BatchApply;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::BatchApply;
}  // namespace linnet::nnx

#pragma GCC visibility pop
