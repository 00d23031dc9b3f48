// optim::ModelAndOptimizer: an optimiser that holds its model.
//
//   optim::ModelAndOptimizer trainer(nnx::Shared<Mlp>::make(rngs), optim::adam(1e-3));
//   trainer.update(nnx::grad(loss, *trainer.model));
#pragma once

#include <utility>

#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// An optimiser that holds its model, for code in the older style (N-143).
template <class M>
class ModelAndOptimizer : public Optimizer {
 public:
  ModelAndOptimizer(nnx::Shared<M> model, GradientTransformation tx,
                    nnx::Filter wrt = nnx::of_type<nnx::Param>())
      : Optimizer(*model, std::move(tx), std::move(wrt)), model(std::move(model)) {}
  using Optimizer::update;
  void update(const nnx::State& grads, const ExtraArguments& extra = {}) {
    Optimizer::update(*model, grads, extra);
  }

  nnx::Shared<M> model;
};

}  // namespace linnet::optim

namespace linnet::tree {
template <class M>
struct Traits<optim::ModelAndOptimizer<M>> {
  static void visit(optim::ModelAndOptimizer<M>& both, Visitor& visitor) {
    visitor.enter(typeid(optim::ModelAndOptimizer<M>), 2);
    visitor.child("model");
    tree::visit(both.model, visitor);
    visitor.child("optimizer");
    both.visit(visitor);
    visitor.leave();
  }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
