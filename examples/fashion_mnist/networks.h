// The demo's network, written in each of the two module APIs and mixing both.
//
// x: f32 [batch, 28, 28, 1]
//   stem  ConvBlock 1 -> 32     [batch, 14, 14, 32]
//   body  ConvBlock 32 -> 64    [batch, 7, 7, 64]
//   dense 3136 -> 128, relu, dropout 0.4, head 128 -> 10
#pragma once

#include <map>
#include <string>
#include <utility>

#include "examples/fashion_mnist/dataset.h"
#include "linnet/linnet.h"

namespace demo {

namespace linen = linnet::linen;
namespace nnx = linnet::nnx;
namespace bridge = linnet::bridge;
using linnet::Tensor;

inline constexpr double kDropoutRate = 0.4;
inline constexpr double kMomentum = 0.9;
inline constexpr int64_t kWarmupSteps = 200;

/// u8 pixels to f32 with mean 0 and deviation 1 over the training set.
inline Tensor normalized(const Tensor& image) {
  return (image.astype(linnet::DType::kF32) / 255 - 0.2860) / 0.3530;
}

/// 3x3 convolution, 2x2 max pooling, batch normalisation, relu: functional.
struct ConvBlock {
  int64_t filters;

  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s("conv", linen::Conv{.features = filters, .kernel = {3, 3}, .use_bias = false}, x);
    y = linen::max_pool(y, {2, 2}, {2, 2});
    y = s("norm", linen::BatchNorm{.use_running_average = !train, .momentum = kMomentum}, y);
    return relu(y);
  }

  LINNET_FIELDS(filters)
};

/// The same as an object.
struct StatefulConvBlock {
  nnx::Conv conv;
  nnx::BatchNorm norm;

  StatefulConvBlock(int64_t in, int64_t out, nnx::Rngs& rngs)
      : conv(in, out, {3, 3}, {.use_bias = false}, rngs),
        norm(out, {.momentum = kMomentum}, rngs) {}
  LINNET_FIELDS(conv, norm)

  Tensor operator()(const Tensor& x, bool train) {
    return relu(norm(linen::max_pool(conv(x), {2, 2}, {2, 2}), !train));
  }
};

/// --api=nnx: a stateful network whose convolution blocks are functional modules.
struct StatefulNetwork {
  bridge::ToNNX<ConvBlock> stem, body;
  nnx::Linear dense;
  nnx::Dropout dropout;
  nnx::Linear head;

  explicit StatefulNetwork(nnx::Rngs& rngs)
      : stem(ConvBlock{32}, rngs),
        body(ConvBlock{64}, rngs),
        dense(3136, 128, rngs),
        dropout(kDropoutRate, rngs),
        head(128, 10, rngs) {}
  LINNET_FIELDS(stem, body, dense, dropout, head)

  Tensor operator()(const Tensor& x, bool train) {
    const bridge::CallOptions options{.mutate = train ? bridge::Mutable("batch_stats")
                                                      : bridge::Mutable(false)};
    Tensor h = body.call(options, stem.call(options, x, train), train);
    h = relu(dense(reshape(h, {h.shape(0), -1})));
    return head(dropout(h, !train));
  }
};

/// The network with the seed's parameters; dropout has its own stream.
inline StatefulNetwork make_stateful(int64_t seed) {
  nnx::Rngs rngs{{"params", linnet::Key(seed)}, {"dropout", linnet::Key(seed + 1)}};
  StatefulNetwork network(rngs);
  bridge::lazy_init(network, linnet::zeros({1, 28, 28, 1}), false);
  return network;
}

/// --api=linen: a functional network whose convolution blocks are objects.
struct FunctionalNetwork {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("stem", bridge::to_linen<StatefulConvBlock>(1, 32), x, train);
    h = s("body", bridge::to_linen<StatefulConvBlock>(32, 64), h, train);
    h = relu(s("dense", linen::Dense{.features = 128}, reshape(h, {h.shape(0), -1})));
    h = s("dropout", linen::Dropout{.rate = kDropoutRate, .deterministic = !train}, h);
    return s("head", linen::Dense{.features = 10}, h);
  }
};

/// What a functional training step reads and replaces.
struct TrainState {
  linen::Variables params, rest;  ///< `params`, and all other collections
  linnet::optim::TransformState optimizer;
  Tensor step;  ///< i32
  LINNET_FIELDS(params, rest, optimizer, step)
};

/// AdamW with warm-up, cosine decay and clipping by global norm, over `steps` steps in all.
inline linnet::optim::GradientTransformation make_optimizer(int64_t steps,
                                                            int64_t warmup = kWarmupSteps,
                                                            double peak = 3e-3) {
  namespace optim = linnet::optim;
  constexpr double kEnd = 1e-5;
  const int64_t warm = std::min(warmup, steps / 2);
  const optim::Schedule rate = warm > 0
                                   ? optim::warmup_cosine_decay_schedule(0, peak, warm, steps, kEnd)
                                   : optim::cosine_decay_schedule(peak, steps, kEnd / peak);
  return optim::chain(optim::clip_by_global_norm(1.0), optim::adamw(rate, {.weight_decay = 0.05}));
}

/// Loss and number of images classified rightly, of one training step.
struct StepResult {
  Tensor loss, correct;
};

inline Tensor count_correct(const Tensor& logits, const Tensor& label) {
  return sum(astype(equal(argmax(logits, -1), label), linnet::DType::kI32));
}

inline StepResult stateful_step(StatefulNetwork& network, linnet::optim::Optimizer& optimizer,
                                const Batch& batch) {
  auto [loss, correct, grads] = nnx::value_and_grad(
      [&](StatefulNetwork& net) {
        const Tensor logits = net(normalized(batch.image), true);
        return std::make_pair(cross_entropy(logits, batch.label),
                              count_correct(logits, batch.label));
      },
      network);
  optimizer.update(network, grads);
  return {loss, correct};
}

inline StepResult functional_step(const linnet::optim::GradientTransformation& tx, int64_t seed,
                                  TrainState& state, const Batch& batch) {
  const linnet::Key dropout =
      linnet::random::fold_in(linnet::Key(seed + 1), astype(state.step, linnet::DType::kU32));
  auto [loss, aux, grads] = linnet::value_and_grad([&](const linen::Variables& params) {
    linen::Variables all = state.rest;
    all.children()["params"] = params;
    auto [logits, updates] =
        linen::apply_with({.mutate = {"batch_stats"}, .rngs = {{"dropout", dropout}}},
                          FunctionalNetwork{}, all, normalized(batch.image), true);
    return std::make_pair(cross_entropy(logits, batch.label),
                          std::make_pair(count_correct(logits, batch.label), updates));
  })(state.params);
  linnet::optim::step(tx, state.params, grads, state.optimizer);
  state.rest = state.rest | aux.second;
  state.step = state.step + 1;
  return {loss, aux.first};
}

inline TrainState make_functional(int64_t seed, const linnet::optim::GradientTransformation& tx) {
  linen::Variables all =
      linen::init(FunctionalNetwork{}, linnet::Key(seed), linnet::zeros({1, 28, 28, 1}), false);
  TrainState state;
  state.params = all["params"];
  all.children().erase("params");
  state.rest = std::move(all);
  state.optimizer = tx.init(state.params);
  state.step = linnet::scalar_integer(0, linnet::DType::kI32);
  return state;
}

}  // namespace demo
