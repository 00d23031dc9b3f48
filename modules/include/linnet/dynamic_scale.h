// Loss scaling for gradients in float16: the loss is multiplied by a factor so that small gradients
// do not vanish, and the factor is found as training goes.
//
//   optim::DynamicScale scale;
//   auto step = jit([&](Model& model, optim::Optimizer& optimizer, const Batch& batch) {
//     auto [loss, grads] = nnx::value_and_grad(
//         [&](Model& m) { return scale.scaled(loss_of(m, batch)); })(model);
//     grads = scale.unscaled(grads);                       // f32
//     const Tensor finite = scale.update(grads);           // also moves the factor
//     cond(finite, [&] { optimizer.update(model, grads); }, [] {});
//     return loss / scale.factor();
//   });
//
// Behaves as flax.training.dynamic_scale.DynamicScale (L-170).
#pragma once

#include "linnet/nnx/variable.h"
#include "linnet/ops.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

struct DynamicScaleOptions {
  double growth_factor = 2, backoff_factor = 0.5;
  int64_t growth_interval = 2000;  ///< steps with finite gradients after which the factor grows
  double initial = 65536;
  double minimum = 0x1p-126;  ///< the smallest normal f32
};

/// Whether all floating numbers of a tree are finite, bool []; true for a tree without any.
Tensor all_finite(const TensorList& tensors);
template <class Tree>
Tensor all_finite(const Tree& tree) {
  return all_finite(linnet::tree::leaves(tree));
}

/// The factor and the number of finite steps are variables of kind OptState, so that a jitted step
/// may capture it or take it by reference, and a checkpoint holds it.
class DynamicScale {
 public:
  /// @throws ValueError for a factor that does not grow, or an interval below one.
  explicit DynamicScale(const DynamicScaleOptions& options = {});

  /// f32 []
  Tensor factor() const { return factor_.value(); }
  /// Steps in a row with finite gradients, i32 [].
  Tensor finite_steps() const { return finite_steps_.value(); }

  /// The loss times the factor, f32: a product in float16 would overflow.
  Tensor scaled(const Tensor& loss) const;
  /// Floating gradients as f32 (complex ones as c64), divided by the factor.
  template <class Tree>
  Tree unscaled(const Tree& grads) const {
    const Tensor factor = factor_.value();
    return linnet::tree::map(grads, [&](const Tensor& g) {
      return is_inexact(g.dtype()) ? unscaled_leaf(g, factor) : g;
    });
  }
  /// Grows or shrinks the factor: `growth_interval` steps with finite gradients multiply it by
  /// `growth_factor`, one with an infinity or NaN by `backoff_factor`.
  /// @return whether all are finite, bool [].
  template <class Tree>
  Tensor update(const Tree& grads) {
    const Tensor finite = all_finite(grads);
    move(finite);
    return finite;
  }

  LINNET_FIELDS(options_, factor_, finite_steps_)

 private:
  static Tensor unscaled_leaf(const Tensor& gradient, const Tensor& factor);
  void move(const Tensor& finite);

  DynamicScaleOptions options_;
  nnx::OptState factor_, finite_steps_;
};

}  // namespace linnet::optim

#pragma GCC visibility pop
