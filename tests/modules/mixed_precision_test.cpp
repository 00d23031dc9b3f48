// Policy and scale of the loss as one object, in training steps of both APIs.
#include "linnet/training/mixed_precision.h"

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/training/trainer.h"

namespace linnet::training::mixed_precision_test {
namespace {

struct Network {
  nnx::Linear up;
  nnx::BatchNorm norm;
  nnx::Linear down;
  explicit Network(nnx::Rngs& rngs) : up(6, 8, rngs), norm(8, rngs), down(8, 1, rngs) {}
  LINNET_FIELDS(up, norm, down)
  Tensor operator()(const Tensor& x) {
    const Tensor h = up(x);
    seen() = h.dtype();
    return down(relu(norm(h)));
  }
  static DType& seen() {
    static DType dtype = DType::kF64;
    return dtype;
  }
};

Tensor input() { return reshape(arange(24.) * 0.1f - 1.f, {4, 6}); }

/// Eight steps from one model; gives the losses.
std::vector<float> train(MixedPrecision& precision, Network& model) {
  optim::Optimizer optimizer(model, optim::sgd(0.01));
  const auto step = jit([](Network& m, optim::Optimizer& o, MixedPrecision& p, const Tensor& x) {
    return p.step(m, o, [&](Network& half) {
      return mean(square(astype(half(p.cast(x)), DType::kF32) - sum(x, -1, true)));
    });
  });
  std::vector<float> losses;
  for (int i = 0; i < 8; ++i)
    losses.push_back(step(model, optimizer, precision, input()).item<float>());
  return losses;
}

TEST(MixedPrecision, products_of_the_policy) {
  MixedPrecision precision(Policy{.products = Products::kFloat8});
  std::vector<Products> seen;
  nnx::Rngs rngs(0);
  nnx::Linear layer(2, 1, rngs);
  precision.value_and_grad(layer, [&](nnx::Linear& l) {
    seen.push_back(layer_products());
    return sum(l(ones({1, 2})));
  });
  Tensor parameters = ones({2});
  precision.value_and_grad(parameters, [&](const Tensor& p) {
    seen.push_back(layer_products());
    return sum(p);
  });
  EXPECT_EQ(seen, std::vector<Products>(2, Products::kFloat8));
  EXPECT_EQ(layer_products(), Products::kPlain);
}

TEST(MixedPrecision, object_models_in_all_types) {
  std::vector<float> reference;
  for (const DType compute : {DType::kF32, DType::kBF16, DType::kF16}) {
    SCOPED_TRACE(name_of(compute));
    nnx::Rngs rngs(0);
    Network model(rngs);
    EXPECT_EQ(MixedPrecision(Policy{.compute = compute}).scale() != nullptr,
              compute == DType::kF16);
    const Policy policy{.compute = compute};
    // The usual first scale of 2^16 would be too much for the first three steps.
    MixedPrecision precision =
        compute == DType::kF16 ? MixedPrecision(policy, {.initial = 256}) : MixedPrecision(policy);
    const std::vector<float> losses = train(precision, model);
    EXPECT_EQ(Network::seen(), compute);
    EXPECT_EQ(model.up.kernel.value().dtype(), DType::kF32);
    EXPECT_EQ(model.norm.mean.value().dtype(), DType::kF32);
    EXPECT_NE(model.norm.mean.value().to_vector<float>(), std::vector<float>(8, 0.f));
    if (reference.empty()) reference = losses;
    const float tolerance = compute == DType::kF32 ? 0 : compute == DType::kF16 ? 0.02f : 0.1f;
    for (size_t i = 0; i < losses.size(); ++i)
      EXPECT_NEAR(losses[i], reference[i], tolerance * reference[i]) << i;
    EXPECT_LT(losses.back(), losses.front());
  }
}

TEST(MixedPrecision, an_overflow_changes_the_scale_only) {
  nnx::Rngs rngs(0);
  Network model(rngs);
  MixedPrecision precision(Policy{.compute = DType::kF16}, {.growth_interval = 4, .initial = 1024});
  const std::vector<float> before = model.up.kernel.value().to_vector<float>();
  Network once = tree::copy(model);
  optim::Optimizer optimizer(once, optim::adam(0.1));
  const Tensor loss = precision.step(once, optimizer, [&](Network& half) {
    return mean(half(precision.cast(full({4, 6}, 1e6))));
  });
  EXPECT_FALSE(all(is_finite(loss)).item<bool>()) << "1e6 is infinite in float16";
  EXPECT_EQ(once.up.kernel.value().to_vector<float>(), before);
  EXPECT_EQ(optimizer.step().item<int>(), 0);
  EXPECT_EQ(precision.scale()->factor().item<float>(), 512);
  train(precision, model);
  EXPECT_EQ(precision.scale()->factor().item<float>(), 1024)
      << "doubled once in eight steps: with the fifth that is finite";
}

TEST(MixedPrecision, functional_models_and_a_trainer) {
  const linen::Dense dense{.features = 1};
  const linen::Variables variables = linen::init(dense, Key(0), input());
  TrainState state = TrainState::create(variables["params"], optim::sgd(0.05));
  MixedPrecision precision(Policy{.compute = DType::kF16}, {.initial = 0x1p24});
  const auto step = [&](TrainState& s, MixedPrecision& p, const Tensor& x) {
    return p.step(s, [&](const linen::Variables& params) {
      const Tensor y = linen::apply(dense, linen::Variables{{"params", params}}, p.cast(x));
      return mean(square(astype(y, DType::kF32) - sum(x, -1, true)));
    });
  };
  std::vector<int> steps;
  std::vector<double> losses;
  Trainer trainer({.log_every = 1});
  const TensorList batches(30, input());
  trainer.fit(batches, [&](const Tensor& x) {
    const Tensor loss = step(state, precision, x);
    steps.push_back(state.step.item<int>());
    losses.push_back(loss.item<double>());
    return loss;
  });
  EXPECT_EQ(steps[0], 0) << "2^24 is too much for float16";
  EXPECT_GT(steps.back(), 15);
  EXPECT_LT(losses.back(), 0.1 * losses.front());
  EXPECT_LT(precision.scale()->factor().item<float>(), 0x1p24f);
  EXPECT_EQ(state.params["kernel"].value().dtype(), DType::kF32);
}

TEST(MixedPrecision, an_object_model_that_is_taken_apart) {
  nnx::Rngs rngs(0);
  nnx::Linear model(6, 1, rngs);
  auto [graphdef, params] = nnx::split(model);
  nnx::TrainState state = nnx::TrainState::create(graphdef, params, optim::sgd(0.05));
  MixedPrecision precision(Policy{.compute = DType::kF16}, {.initial = 0x1p20});
  std::vector<int> steps;
  std::vector<float> losses;
  for (int i = 0; i < 20; ++i) {
    const Tensor loss = precision.step(state, [&](const nnx::State& half) {
      const Tensor y =
          state.apply<nnx::Linear>(half)([&](nnx::Linear& m) { return m(precision.cast(input())); })
              .first;
      EXPECT_EQ(y.dtype(), DType::kF16);
      return mean(square(astype(y, DType::kF32) - sum(input(), -1, true)));
    });
    losses.push_back(loss.item<float>());
    steps.push_back(state.step.item<int>());
  }
  EXPECT_EQ(steps.front(), 0) << "2^20 is too much for float16";
  EXPECT_GT(steps.back(), 10);
  EXPECT_LT(losses.back(), 0.3f * losses.front());
  EXPECT_EQ(state.params["kernel"].value().dtype(), DType::kF32);
}

}  // namespace
}  // namespace linnet::training::mixed_precision_test
