// Mixed precision of modules of both APIs: types inside and outside, gradients, what is written.
#include "linnet/policy.h"

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/dynamic_scale.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "tests/core/core_support.h"

namespace linnet::policy_test {
namespace {

using test::expect_error;

const Policy kHalf{.compute = DType::kBF16};

Tensor input() { return reshape(arange(24.) * 0.1f - 1.f, {4, 6}); }

TEST(Policy, text_and_back) {
  EXPECT_EQ(to_string(Policy::parse("params=f32,compute=bf16,output=f16")),
            "params=f32,compute=bf16,output=f16");
  EXPECT_EQ(to_string(Policy::parse("compute=f16")), "params=f32,compute=f16,output=f32");
  EXPECT_EQ(to_string(Policy::parse("bf16")), "params=bf16,compute=bf16,output=bf16");
  expect_error<DTypeError>("policy: expected one of f16, bf16, f32, f64, got 'i32'",
                           [] { Policy::parse("compute=i32"); });
  expect_error<ValueError>([] { Policy::parse("precision=f16"); },
                           "policy: expected params=TYPE, compute=TYPE, output=TYPE or "
                           "products=KIND, got "
                           "'precision=f16'");
}

TEST(Policy, text_of_products) {
  const Policy policy = Policy::parse("products=float8,compute=bf16");
  EXPECT_EQ(policy.products, Products::kFloat8);
  EXPECT_EQ(to_string(policy), "params=f32,compute=bf16,output=f32,products=float8");
  EXPECT_EQ(Policy::parse("products=plain").products, Products::kPlain);
  expect_error<ValueError>("policy: expected products=plain or products=float8, got 'int4'",
                           [] { Policy::parse("products=int4"); });
}

TEST(Policy, settings_of_a_layer) {
  const linen::Dense dense = kHalf(linen::Dense{.features = 3});
  EXPECT_EQ(dense.features, 3);
  const auto [y, variables] = linen::init_with_output(dense, Key(0), input());
  EXPECT_EQ(y.dtype(), DType::kBF16);
  EXPECT_EQ(variables["params"]["kernel"].value().dtype(), DType::kF32);
  nnx::Rngs rngs(0);
  const nnx::Linear linear(6, 3, kHalf(nnx::Linear::Options{.use_bias = false}), rngs);
  EXPECT_EQ(linear(input()).dtype(), DType::kBF16);
  EXPECT_EQ(linear.kernel.value().dtype(), DType::kF32);
}

TEST(Policy, functional_module) {
  DType inside = DType::kF64;
  const auto body = [&inside](linen::Scope& s, const Tensor& x, bool train) {
    const Tensor h = relu(s("up", linen::Dense{.features = 8}, x));
    inside = h.dtype();
    return s("norm", linen::BatchNorm{.use_running_average = !train}, h);
  };
  const auto half = linen::with_policy(body, kHalf);
  const linen::Variables variables = linen::init(half, Key(0), input(), false);
  EXPECT_EQ(variables["params"]["up"]["kernel"].value().dtype(), DType::kF32);
  EXPECT_EQ(variables["batch_stats"]["norm"]["mean"].value().dtype(), DType::kF32);
  const auto [y, changed] =
      linen::apply_with({.mutate = {"batch_stats"}}, half, variables, input(), true);
  EXPECT_EQ(inside, DType::kBF16);
  EXPECT_EQ(y.dtype(), DType::kF32);
  EXPECT_FALSE(changed["batch_stats"]["norm"]["mean"].value().to_vector<float>() ==
               variables["batch_stats"]["norm"]["mean"].value().to_vector<float>());
  const linen::Variables gradients = grad([&](const linen::Variables& params) {
    linen::Variables all = variables;
    all.children()["params"] = params;
    return sum(square(linen::apply(half, all, input(), false)));
  })(variables["params"]);
  EXPECT_EQ(inside, DType::kBF16);
  EXPECT_EQ(gradients["up"]["kernel"].value().dtype(), DType::kF32);
}

struct Network {
  nnx::Linear up;
  nnx::BatchNorm norm;
  nnx::Dropout dropout;
  nnx::Linear down;
  explicit Network(nnx::Rngs& rngs)
      : up(6, 8, rngs), norm(8, rngs), dropout(0.5, rngs), down(8, 2, rngs) {}
  Tensor operator()(const Tensor& x) {
    const Tensor h = up(x);
    EXPECT_EQ(h.dtype(), seen);
    return down(dropout(relu(norm(h))));
  }
  DType seen = DType::kBF16;
  LINNET_FIELDS(up, norm, dropout, down, seen)
};

TEST(Policy, object_module) {
  nnx::Rngs rngs{{"params", 0}, {"dropout", 1}};
  nnx::WithPolicy<Network> half(kHalf, rngs);
  const Tensor y = half(input());
  EXPECT_EQ(y.dtype(), DType::kF32);
  EXPECT_EQ(half.module.up.kernel.value().dtype(), DType::kF32);
  EXPECT_NE(half.module.norm.mean.value().to_vector<float>(), std::vector<float>(8, 0.f))
      << "running averages are the module's own";
  EXPECT_EQ(half.module.dropout.rngs->count().item<uint32_t>(), 1u) << "and so are its streams";
  const nnx::State gradients =
      nnx::grad([](nnx::WithPolicy<Network>& m) { return sum(square(m(input()))); })(half);
  EXPECT_EQ(gradients["module"]["up"]["kernel"].value().dtype(), DType::kF32);
  EXPECT_TRUE(any(gradients["module"]["up"]["kernel"].value() != 0).item<bool>());

  const Policy narrow{.param = DType::kBF16, .compute = DType::kBF16, .output = DType::kBF16};
  nnx::WithPolicy<Network> all(narrow, rngs);
  EXPECT_EQ(all.module.up.kernel.value().dtype(), DType::kBF16);
  EXPECT_EQ(all(input()).dtype(), DType::kBF16);
}

/// Parameters of f32, products of float16, a scale of the loss: overflow in one step changes
/// nothing but the scale, and training goes on.
TEST(Policy, trains_in_float16_with_a_dynamic_scale) {
  nnx::Rngs rngs{{"params", 0}, {"dropout", 1}};
  nnx::WithPolicy<nnx::Linear> model(Policy{.compute = DType::kF16}, nnx::Linear(6, 1, rngs));
  optim::Optimizer optimizer(model, optim::sgd(0.05));
  optim::DynamicScale scale({.growth_interval = 4, .initial = 0x1p20});
  const auto step = jit([&](nnx::WithPolicy<nnx::Linear>& m, optim::Optimizer& o,
                            optim::DynamicScale& s, const Tensor& x, const Tensor& y) {
    auto [loss, grads] = nnx::value_and_grad(
        [&](nnx::WithPolicy<nnx::Linear>& net) { return s.scaled(mean(square(net(x) - y))); })(m);
    grads = s.unscaled(grads);
    const Tensor finite = s.update(grads);
    cond(
        finite, [&] { o.update(m, grads); }, [] {});
    return std::pair(loss / s.factor(), finite);
  });
  const Tensor x = input(), y = sum(x, -1, true);
  const std::vector<float> at_first = model.module.kernel.value().to_vector<float>();
  std::vector<bool> finite;
  std::vector<float> losses;
  for (int t = 0; t < 60; ++t) {
    const auto [loss, ok] = step(model, optimizer, scale, x, y);
    if (finite.empty()) {
      EXPECT_EQ(model.module.kernel.value().to_vector<float>(), at_first);
    }
    finite.push_back(ok.item<bool>());
    losses.push_back(loss.item<float>());
  }
  EXPECT_FALSE(finite[0]) << "2^20 is more than float16 holds";
  EXPECT_TRUE(finite[59] || finite[58]);
  EXPECT_LT(losses[59], 0.05f * losses[20] + 1e-3f);
  EXPECT_EQ(model.module.kernel.value().dtype(), DType::kF32);
}

}  // namespace
}  // namespace linnet::policy_test
