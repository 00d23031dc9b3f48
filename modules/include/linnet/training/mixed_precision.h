// Mixed precision of a training step as one object: a policy of types, and the scale of the loss
// that gradients in float16 need.
//
//   training::MixedPrecision precision(Policy{.compute = DType::kF16});
//   auto step = jit([](Model& m, optim::Optimizer& o, training::MixedPrecision& p, const Batch& b)
//   {
//     return p.step(m, o, [&](Model& half) { return cross_entropy(half(p.cast(b.x)), b.y); });
//   });
//
// A step whose gradients are infinite or NaN changes the scale only. bfloat16 has the range of f32
// and needs no scale.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "linnet/control_flow.h"
#include "linnet/dynamic_scale.h"
#include "linnet/nnx/transforms.h"
#include "linnet/optim.h"
#include "linnet/optim/train_state.h"
#include "linnet/policy.h"
#include "linnet/train_state.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::training {

/// Its state is the scale's, in variables: a jitted step takes it by reference or captures it, and
/// a checkpoint holds it.
class MixedPrecision {
 public:
  /// With a dynamic scale if the policy computes in float16, without otherwise.
  explicit MixedPrecision(const Policy& policy = {}) : policy_(policy) {
    if (policy.compute == DType::kF16) scale_.emplace();
  }
  /// With this scale, whatever the policy.
  MixedPrecision(const Policy& policy, const optim::DynamicScaleOptions& scale)
      : policy_(policy), scale_(std::in_place, scale) {}

  const Policy& policy() const { return policy_; }
  /// Null without one.
  const optim::DynamicScale* scale() const { return scale_ ? &*scale_ : nullptr; }

  /// Floating tensors of a tree in the type of computation: what a model is called with.
  template <class Tree>
  Tree cast(const Tree& tree) const {
    return policy_.cast_to_compute(tree);
  }

  /// What `value_and_grad` gives.
  template <class Gradients>
  struct Result {
    Tensor loss;      ///< f32[]
    Gradients grads;  ///< as if computed without scale; f32 if there is one
    Tensor finite;    ///< bool[]: whether all gradients are; true without scale
  };

  /// The loss of an object model, or of a tree of parameters, and its gradients with respect to its
  /// parameters. Moves the scale.
  /// @param loss gets the model, or the tree, with parameters in the type of computation; gives a
  /// scalar.
  template <class M, class Loss>
  auto value_and_grad(M& model, Loss&& loss) {
    const auto scaled = [&](const Tensor& value) {
      return scale_ ? scale_->scaled(value) : astype(value, DType::kF32);
    };
    if constexpr (kIsTree<M>) {
      auto [value, grads] = linnet::value_and_grad([&](const M& params) {
        const ScopedProducts products(policy_.products);
        return scaled(loss(policy_.cast_to_compute(params)));
      })(model);
      return finished(value, std::move(grads));
    } else {
      auto [value, grads] = nnx::value_and_grad(
          [&](M& m) {
            auto [definition, params, rest] =
                nnx::split(m, nnx::of_type<nnx::Param>(), nnx::everything());
            M half = nnx::merge<M>(definition, policy_.cast_to_compute(params), rest);
            const ScopedProducts products(policy_.products);
            return scaled(loss(half));
          },
          model);
      return finished(value, std::move(grads));
    }
  }

  /// A step of training of an object model; gives the loss, f32[].
  template <class M, class Loss>
  Tensor step(M& model, optim::Optimizer& optimizer, Loss&& loss) {
    auto result = value_and_grad(model, loss);
    if_finite(result.finite, [&] { optimizer.update(model, result.grads); });
    return result.loss;
  }

  /// A step of training of a functional model: `loss` gets the parameters.
  template <class Loss>
  Tensor step(TrainState& state, Loss&& loss) {
    auto result = value_and_grad(state.params, loss);
    TrainState next = state;
    next.apply_gradients(result.grads);
    state = if_finite(result.finite, next, state);
    return result.loss;
  }
  /// The same of an object model that is taken apart: `loss` gets the parameters as a State.
  template <class Loss>
  Tensor step(nnx::TrainState& state, Loss&& loss) {
    auto result = value_and_grad(state.params, loss);
    state = if_finite(result.finite, state.apply_gradients(result.grads), state);
    return result.loss;
  }

  LINNET_FIELDS(policy_, scale_)

 private:
  template <class M>
  static constexpr bool kIsTree =
      std::is_same_v<M, linen::Variables> || std::is_same_v<M, nnx::State> ||
      std::is_same_v<M, Tensor> || std::is_same_v<M, TensorList>;

  template <class Gradients>
  Result<Gradients> finished(const Tensor& value, Gradients grads) {
    if (!scale_) return {value, std::move(grads), Tensor(true)};
    const Tensor loss = value / scale_->factor();
    grads = scale_->unscaled(grads);
    const Tensor finite = scale_->update(grads);
    return {loss, std::move(grads), finite};
  }
  template <class F>
  void if_finite(const Tensor& finite, F&& update) {
    if (scale_)
      cond(finite, update, [] {});
    else
      update();
  }

  /// Both values are there, so one is chosen.
  template <class State>
  State if_finite(const Tensor& finite, const State& next, const State& before) {
    if (!scale_) return next;
    return linnet::tree::map(next, before,
                             [&](const Tensor& a, const Tensor& b) { return where(finite, a, b); });
  }

  Policy policy_;
  std::optional<optim::DynamicScale> scale_;
};

}  // namespace linnet::training

#pragma GCC visibility pop
