// Low-rank adaptation: a network learns one task, and then a narrow pair of matrices beside each of
// its layers learns another one, while the network itself stays as it is.
//
//   lora
//
// Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
#include <cstdio>
#include <numbers>

#include "linnet/linnet.h"
#include "linnet/nnx/layers_lora.h"

using namespace linnet;

constexpr int64_t kWidth = 64, kRank = 2;

/// With nnx::Linear the network itself, with nnx::LoRALinear the one that is tuned.
template <class Layer>
struct Network {
  std::vector<Layer> layers;

  /// Arguments of a layer after its sizes: the rank of a LoRALinear.
  template <class... Rank>
  explicit Network(nnx::Rngs& rngs, Rank... rank) {
    layers.emplace_back(2, kWidth, rank..., rngs);
    layers.emplace_back(kWidth, kWidth, rank..., rngs);
    layers.emplace_back(kWidth, 2, rank..., rngs);
  }
  LINNET_FIELDS(layers)

  Tensor operator()(const Tensor& x) const {
    return layers[2](tanh(layers[1](tanh(layers[0](x)))));
  }
};

struct Batch {
  Tensor x, label;
};

/// Points on two arms of a spiral, which is wound by `turns`.
Batch spirals(const Key& key, int64_t count, double turns) {
  const auto [arm_key, radius_key, noise_key] = random::split<3>(key);
  const Tensor arm = random::randint(arm_key, {count}, 0, 2);
  const Tensor radius = sqrt(random::uniform(radius_key, {count}, 0.02, 1));
  const Tensor angle = 2 * std::numbers::pi * turns * radius + std::numbers::pi * arm;
  const Tensor x = expand_dims(radius, 1) * stack({cos(angle), sin(angle)}, 1);
  return {x + 0.02 * random::normal(noise_key, x.shape()), arm};
}

template <class Model>
double accuracy(const Model& model, const Batch& batch) {
  return mean((argmax(model(batch.x), -1) == batch.label).astype(DType::kF32))
      .template item<double>();
}

/// Trains the variables of one kind.
template <class Kind, class Model>
void train(Model& model, const Batch& batch, int64_t steps) {
  optim::Optimizer optimizer(model, optim::adam(1e-2), nnx::of_type<Kind>());
  const auto step = jit([](Model& m, optim::Optimizer& opt, const Batch& data) {
    const auto [loss, gradients] = nnx::value_and_grad<Kind>(
        [&](Model& net) { return cross_entropy(net(data.x), data.label); }, m);
    opt.update(m, gradients);
    return loss;
  });
  for (int64_t i = 0; i < steps; ++i) step(model, optimizer, batch);
}

int64_t count(const nnx::State& state) {
  int64_t numbers = 0;
  for (const auto& [path, leaf] : state.entries()) numbers += leaf.value().size();
  return numbers;
}

int main() {
  const Batch first = spirals(Key(1), 2000, 1.0), second = spirals(Key(2), 2000, -1.0);
  nnx::Rngs rngs(0);
  Network<nnx::Linear> base(rngs);
  train<nnx::Param>(base, first, 400);
  std::printf("trained:  %5.1f %% of the first task, %5.1f %% of the second\n",
              100 * accuracy(base, first), 100 * accuracy(base, second));

  // A LoRALinear has kernel and bias under the paths of a Linear, so the trained values fit.
  Network<nnx::LoRALinear> tuned(rngs, kRank);
  nnx::update(tuned, nnx::state(base));
  const nnx::State factors = nnx::state(tuned, nnx::of_type<nnx::LoRAParam>());
  std::printf("to tune:  %lld numbers beside %lld\n", static_cast<long long>(count(factors)),
              static_cast<long long>(count(nnx::state(base))));
  const bool same_start = accuracy(tuned, first) == accuracy(base, first);
  train<nnx::LoRAParam>(tuned, second, 400);
  const double learned = accuracy(tuned, second);
  std::printf("tuned:    %5.1f %% of the second task\n", 100 * learned);

  // For use, the products go into the kernels: an ordinary network again.
  Network<nnx::Linear> merged = base;
  for (size_t i = 0; i < merged.layers.size(); ++i) {
    const auto& lora = tuned.layers[i].lora;
    merged.layers[i].kernel = merged.layers[i].kernel + matmul(lora.lora_a, lora.lora_b);
  }
  const double difference = max(abs(merged(second.x) - tuned(second.x))).item<double>();
  const double kept = accuracy(base, first);
  std::printf("merged:   differs by %.1e; the base still knows %.1f %% of the first task\n",
              difference, 100 * kept);
  return same_start && learned > 0.9 && kept > 0.9 && difference < 1e-3 ? 0 : 1;
}
