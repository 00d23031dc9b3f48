// nnx::TrainState: everything that a functional training loop carries from step to step, as one
// value.
//
//   auto [graphdef, params] = nnx::split(model);
//   auto state = nnx::TrainState::create(graphdef, params, optim::adam(1e-3));
//   auto step = jit([](const nnx::TrainState& s, const Tensor& x) {
//     const auto grads = grad([&](const nnx::State& p) {
//       return loss(s.apply<Model>(p)([&](Model& m) { return m(x); }).first); })(s.params);
//     return s.apply_gradients(grads);
//   });
//   state = step(state, x);
#pragma once

#include <utility>

#include "linnet/nnx/graph_tools.h"
#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// Definition, parameters, state of the optimiser and number of steps (N-042). A tree: copies are
/// independent, and functions take and give it.
struct TrainState {
  GraphDef graphdef;
  State params;
  optim::TransformState opt_state;
  Tensor step;  ///< i32[]
  optim::GradientTransformation tx;

  static TrainState create(const GraphDef& graphdef, const State& params,
                           optim::GradientTransformation tx, int64_t step = 0);

  /// A pure call of the model on the parameters and further states: `apply<M>(more...)(f)` gives
  /// `{f(model), {graphdef, state}}`.
  template <class M, class... S>
  auto apply(const S&... states) const {
    if constexpr ((std::is_same_v<S, State> && ...) && sizeof...(S) > 0)
      return call<M>(graphdef, states...);
    else
      return call<M>(graphdef, params);
  }

  /// The state after a step of the optimiser.
  /// @throws TreeError if the gradients are not those of the parameters.
  TrainState apply_gradients(const State& grads) const;
};

}  // namespace linnet::nnx

namespace linnet::tree {
template <>
struct Traits<nnx::TrainState> {
  static void visit(nnx::TrainState& state, Visitor& visitor);
};
}  // namespace linnet::tree

#pragma GCC visibility pop
