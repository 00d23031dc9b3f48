// nnx::EMA: running means of the variables of a model, for a model that is smoother than the one
// that is trained.
//
//   nnx::EMA ema(model, 0.999, nnx::of_type<nnx::Param>());
//   …                                            // after each step of the optimiser
//   ema.update(model);
//   Model smooth = ema.apply_to(model);          // shares the means: later updates are seen in it
#pragma once

#include <utility>

#include "linnet/nnx/graph.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// shadow ← decay · shadow + (1 - decay) · value for each floating variable that a filter chooses;
/// of others the value itself (N-146). A jitted step may take it by reference or capture it.
class EMA {
 public:
  /// The shadows begin as copies of the variables, of the same kinds and metadata.
  /// @throws ModuleError naming a chosen tensor that is no variable.
  template <class M>
  EMA(M& model, double decay, Filter only = everything()) : EMA(state(model, only), decay, only) {}

  /// @throws ModuleError if the model has other variables than the one at construction.
  template <class M>
  void update(M& model) {
    blend(state(model, filter_));
  }

  /// A model with the shadows in place of its chosen variables, and the others of `model`.
  template <class M>
  M apply_to(M& model) const {
    State all = state(model);
    for (const auto& [path, leaf] : params_.entries()) all.insert(path, leaf);
    return merge<M>(graphdef(model), all);
  }

  double decay() const { return decay_; }
  const State& params() const { return params_; }
  void visit(tree::Visitor& visitor);

 private:
  EMA(State chosen, double decay, Filter only);
  void blend(const State& values);
  State params_;
  double decay_;
  Filter filter_;
};

}  // namespace linnet::nnx

namespace linnet::tree {
template <>
struct Traits<nnx::EMA> {
  static void visit(nnx::EMA& ema, Visitor& visitor) { ema.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
