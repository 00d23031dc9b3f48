// TrainState: what training of a functional model carries from step to step.
//
//   auto variables = linen::init(model, Key(0), x);
//   TrainState state = TrainState::create(variables["params"], optim::adam(1e-3));
//   auto step = jit([&](TrainState& s, const Tensor& batch) {
//     auto [loss, grads] = value_and_grad(...)(s.params);
//     s.apply_gradients(grads);
//     return loss;
//   });
//
//   struct WithStatistics : TrainState {              // further fields by a derived class
//     linen::Variables batch_stats;
//     LINNET_FIELDS_AND_BASE(TrainState, batch_stats)
//   };
#pragma once

#include <string>
#include <utility>

#include "linnet/function.h"
#include "linnet/linen/variables.h"
#include "linnet/ops.h"
#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::tree {
/// Part of the structure: transformations of equal descriptions are equal, and one without is equal
/// to none.
template <>
struct Traits<optim::GradientTransformation> {
  static void visit(optim::GradientTransformation& tx, Visitor& visitor) {
    visitor.fixed(typeid(optim::GradientTransformation), tx.description);
  }
};
}  // namespace linnet::tree

namespace linnet {

/// Parameters, the state of the optimiser and the number of steps (L-169). A tree; `tx` is part of
/// its structure.
struct TrainState {
  Tensor step;  ///< i32[]: gradients applied so far
  linen::Variables params;
  optim::GradientTransformation tx;
  optim::TransformState opt_state;

  LINNET_FIELDS(step, params, tx, opt_state)

  static TrainState create(linen::Variables params, optim::GradientTransformation tx) {
    if (tx.description.empty()) tx.description = "#" + std::to_string(detail::unique_number());
    optim::TransformState opt_state = tx.init(params);
    return {scalar_integer(0, DType::kI32), std::move(params), std::move(tx), std::move(opt_state)};
  }

  /// One step of the optimiser: new parameters and optimiser state, `step` + 1, which stops at
  /// 2^31 - 1. A call that throws changes nothing.
  /// @param grads of the structure of the parameters.
  /// @throws TreeError or ShapeError if they do not fit.
  void apply_gradients(const linen::Variables& grads) {
    Tensor next = step + astype(step < scalar_integer(0x7FFFFFFF, DType::kI32), DType::kI32);
    optim::step(tx, params, grads, opt_state);
    step = std::move(next);
  }
};

}  // namespace linnet

#pragma GCC visibility pop
