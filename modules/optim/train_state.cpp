#include "linnet/optim/train_state.h"

#include "linnet/ops.h"
#include "modules/optim/transform.h"

namespace linnet::nnx {

TrainState TrainState::create(const GraphDef& graphdef, const State& params,
                              optim::GradientTransformation tx, int64_t step) {
  tx.description = optim::described(std::move(tx.description));
  optim::TransformState opt_state = tx.init(params);
  return {graphdef, params, std::move(opt_state), scalar_integer(step, DType::kI32), std::move(tx)};
}

TrainState TrainState::apply_gradients(const State& grads) const {
  TrainState next = *this;
  optim::step(tx, next.params, grads, next.opt_state);
  next.step = optim::next_count(step);
  return next;
}

}  // namespace linnet::nnx

namespace linnet::tree {

void Traits<nnx::TrainState>::visit(nnx::TrainState& state, Visitor& visitor) {
  visitor.enter(typeid(nnx::TrainState), 5);
  visitor.child("graphdef");
  tree::visit(state.graphdef, visitor);
  visitor.child("params");
  tree::visit(state.params, visitor);
  visitor.child("opt_state");
  tree::visit(state.opt_state, visitor);
  visitor.child("step");
  tree::visit(state.step, visitor);
  visitor.child("tx");
  visitor.fixed(typeid(std::string), state.tx.description);
  visitor.leave();
}

}  // namespace linnet::tree
