// How many floating-point operations a function does, from the types of its arguments.
//
//   int64_t n = count_flops([](const Tensor& a, const Tensor& b) { return matmul(a, b); },
//                           abstract({DType::kF32, {16, 9}}), abstract({DType::kF32, {9, 4}}));
//   // 2 * 16 * 9 * 4
//
// A product and a sum are one operation each, so are a division, a comparison or a function such as
// exp for one element. Moving and converting values, random numbers and whole numbers cost none. A
// loop over a condition counts one turn, a branch the dearest. What a compiled program costs, with
// what has been fused in it, says program_cost.h.
#pragma once

#include <cstdint>
#include <functional>

#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet {

namespace detail {

int64_t count_flops_of(const TensorList& inputs,
                       const std::function<TensorList(const TensorList&)>& f);

/// A place in what this thread is recording.
struct RecordingMark {
  const void* recording = nullptr;
  size_t nodes = 0;
};
/// In the innermost recording (`eval_shape`, `jit`, the body of a loop); none outside of one.
RecordingMark recording_mark();
struct RecordedCost {
  int64_t flops = 0;
  int64_t vjp_flops = 0;  ///< of the value and of the cotangents of all it reads
};
/// Of what was recorded after `mark` in the recording that is still the innermost.
/// @param vjp whether to count that as well; what has no derivative counts 0.
RecordedCost recorded_cost(const RecordingMark& mark, bool vjp);

}  // namespace detail

/// Of one call of `f`; arguments are trees, which may hold abstract tensors.
template <class F, class... A>
int64_t count_flops(F f, const A&... args) {
  detail::CallOf<F, A...> function(args...);
  return detail::count_flops_of(function.inputs(),
                                [&](const TensorList& lifted) { return function.run(f, lifted); });
}

}  // namespace linnet

#pragma GCC visibility pop
