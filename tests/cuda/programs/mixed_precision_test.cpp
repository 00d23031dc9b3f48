// Training in float16 on the device as on the CPU: a policy for the module, a scale for the loss.
#include <gtest/gtest.h>

#include "linnet/dynamic_scale.h"
#include "linnet/linnet.h"
#include "linnet/policy.h"

namespace linnet::mixed_precision_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

struct Body {
  nnx::Linear up, down;
  explicit Body(nnx::Rngs& rngs) : up(8, 16, rngs), down(16, 1, rngs) {}
  Tensor operator()(const Tensor& x) { return down(relu(up(x))); }
  LINNET_FIELDS(up, down)
};
using Model = nnx::WithPolicy<Body>;

struct Course {
  std::vector<float> losses, factors;
  std::vector<bool> finite;
  DType parameters;
};

/// Forty steps, the first of which overflow in float16.
Course train(Device device) {
  const ScopedDevice here(device);
  nnx::Rngs rngs(0);
  Model model(Policy{.compute = DType::kF16}, rngs);
  optim::Optimizer optimizer(model, optim::adamw(2e-2));
  optim::DynamicScale scale({.growth_interval = 10, .initial = 0x1p20});
  const auto step = jit(
      [](Model& m, optim::Optimizer& o, optim::DynamicScale& s, const Tensor& x, const Tensor& y) {
        auto [loss, scaled] =
            nnx::value_and_grad([&](Model& net) { return s.scaled(mean(square(net(x) - y))); }, m);
        const nnx::State grads = s.unscaled(scaled);
        const Tensor factor = s.factor(), finite = s.update(grads);
        cond(
            finite, [&] { o.update(m, grads); }, [] {});
        return std::make_tuple(loss / factor, finite, factor);
      });
  const Tensor x = reshape(sin(arange(256.) * 0.7f), {32, 8}), y = sum(x, -1, true);
  Course run;
  for (int t = 0; t < 40; ++t) {
    const auto [loss, finite, factor] = step(model, optimizer, scale, x, y);
    EXPECT_EQ(loss.device(), device);
    run.losses.push_back(loss.item<float>());
    run.finite.push_back(finite.item<bool>());
    run.factors.push_back(factor.item<float>());
  }
  run.parameters = model.module.up.kernel.value().dtype();
  return run;
}

TEST(MixedPrecision, float16_with_a_dynamic_scale_as_on_the_cpu) {
  const Course there = train(kGpu), here = train(Device{});
  EXPECT_EQ(there.finite, here.finite);
  EXPECT_EQ(there.factors, here.factors);
  EXPECT_FALSE(there.finite.front()) << "2^20 is more than float16 holds";
  EXPECT_TRUE(there.finite.back());
  EXPECT_LT(there.factors.back(), there.factors.front());
  EXPECT_EQ(there.parameters, DType::kF32);
  for (size_t t = 0; t < here.losses.size(); ++t)
    EXPECT_NEAR(there.losses[t], here.losses[t], 0.03f * here.losses[t] + 1e-3f) << t;
  EXPECT_LT(there.losses.back(), 0.5f * there.losses.front());
}

}  // namespace
}  // namespace linnet::mixed_precision_test
