// Products of eight bits in the layers of a module, by its policy: in both APIs, in loops, in
// training.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "linnet/policy.h"
#include "tests/core/core_support.h"

namespace linnet::policy_products_test {
namespace {

using test::expect_error;

const Policy kEight{.products = Products::kFloat8};

Tensor rows() { return reshape(sin(arange(16. * 16.) * 0.7f), {16, 16}); }

/// x · kernel + bias with operands in eight bits, or as they are.
Tensor by_hand(const Tensor& x, const Tensor& kernel, const Tensor& bias, bool eight) {
  const DotDims dims{.lhs_contract = {1}, .rhs_contract = {0}};
  return (eight ? float8_dot_general(x, kernel, dims) : dot_general(x, kernel, dims)) + bias;
}

bool same(const Tensor& a, const Tensor& b) { return a.to_vector<float>() == b.to_vector<float>(); }

TEST(PolicyProducts, of_functional_modules) {
  const auto body = [](linen::Scope& s, const Tensor& x) {
    const Tensor h = s("eight", linen::Dense{.features = 16}, x);
    const linen::Dense dense{.features = 16};
    return std::pair(h, s("plain", linen::with_policy(dense, Policy{}), x));
  };
  const auto model = [body](linen::Scope& s, const Tensor& x) {
    const auto [eight, plain] = s("body", linen::with_policy(body, kEight), x);
    return std::tuple(eight, plain, s("beside", linen::Dense{.features = 16}, x));
  };
  const linen::Variables variables = linen::init(model, Key(0), rows());
  const auto check = [&](const Tensor& y, const linen::Variables& layer, bool eight) {
    const Tensor kernel = layer["kernel"].value(), bias = layer["bias"].value();
    EXPECT_TRUE(same(y, by_hand(rows(), kernel, bias, eight))) << eight;
    EXPECT_FALSE(same(y, by_hand(rows(), kernel, bias, !eight))) << eight;
  };
  const auto [eight, plain, beside] = linen::apply(model, variables, rows());
  check(eight, variables["params"]["body"]["eight"], true);
  check(plain, variables["params"]["body"]["plain"], false);
  check(beside, variables["params"]["beside"], false);
  expect_error<ValueError>([] { kEight(linen::Dense{.features = 3}); },
                           "policy: the settings of a layer hold types, not products=float8");
}

/// A Linear, and the LinearGenerals of attention.
struct Mixed {
  nnx::Linear linear;
  nnx::MultiHeadAttention attention;
  explicit Mixed(nnx::Rngs& rngs) : linear(16, 16, rngs), attention(4, 16, rngs) {}
  std::pair<Tensor, Tensor> operator()(const Tensor& x) {
    return {linear(x), attention(expand_dims(x, 0))};
  }
  LINNET_FIELDS(linear, attention)
};

TEST(PolicyProducts, of_object_modules) {
  nnx::Rngs rngs(0), again(0);
  nnx::WithPolicy<Mixed> eight(kEight, rngs);
  nnx::WithPolicy<Mixed> plain(Policy{}, again);
  const auto [y, attended] = eight(rows());
  const auto [y_plain, attended_plain] = plain(rows());
  const nnx::Linear& layer = plain.module.linear;
  EXPECT_TRUE(same(y, by_hand(rows(), layer.kernel.value(), layer.bias->value(), true)));
  EXPECT_TRUE(same(y_plain, by_hand(rows(), layer.kernel.value(), layer.bias->value(), false)));
  EXPECT_FALSE(same(attended, attended_plain));
  const float largest = max(abs(attended_plain)).item<float>();
  EXPECT_LT(max(abs(attended - attended_plain)).item<float>(), 0.25f * largest);
  EXPECT_EQ(layer_products(), Products::kPlain);
}

/// Loops are traced inside of the call and differentiated behind it.
TEST(PolicyProducts, of_recurrent_layers) {
  using Rnn = nnx::RNN<nnx::SimpleCell>;
  const auto gradients = [](const Policy& policy) {
    nnx::Rngs rngs(0);
    nnx::WithPolicy<Rnn> model(policy, Rnn(nnx::SimpleCell(16, 16, rngs)));
    const Tensor x = reshape(rows(), {4, 4, 16});
    return tree::leaves(nnx::grad([&](nnx::WithPolicy<Rnn>& m) { return sum(m(x)); })(model));
  };
  const TensorList plain = gradients({}), eight = gradients(kEight);
  ASSERT_GT(plain.size(), 0u);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_FALSE(same(plain[i], eight[i])) << i;
    EXPECT_LT(max(abs(plain[i] - eight[i])).item<float>(), 0.15f * max(abs(plain[i])).item<float>())
        << i;
  }
}

struct Mlp {
  nnx::Linear up, down;
  explicit Mlp(nnx::Rngs& rngs) : up(16, 32, rngs), down(32, 16, rngs) {}
  Tensor operator()(const Tensor& x) { return down(relu(up(x))); }
  LINNET_FIELDS(up, down)
};

/// Losses of thirty steps under a policy.
std::vector<float> losses_under(const Policy& policy) {
  nnx::Rngs rngs(0);
  nnx::WithPolicy<Mlp> model(policy, rngs);
  optim::Optimizer optimizer(model, optim::sgd(0.5));
  const auto step =
      jit([](nnx::WithPolicy<Mlp>& m, optim::Optimizer& o, const Tensor& x, const Tensor& y) {
        const auto [loss, grads] = nnx::value_and_grad(
            [&](nnx::WithPolicy<Mlp>& net) { return mean(square(net(x) - y)); })(m);
        o.update(m, grads);
        return loss;
      });
  std::vector<float> losses;
  const Tensor x = rows(), y = cos(x) * 0.5f;
  for (int t = 0; t < 30; ++t) losses.push_back(step(model, optimizer, x, y).item<float>());
  return losses;
}

TEST(PolicyProducts, train_in_eight_bits_as_in_bfloat16) {
  const std::vector<float> half = losses_under({.compute = DType::kBF16}),
                           eight = losses_under(
                               {.compute = DType::kBF16, .products = Products::kFloat8});
  EXPECT_NE(half, eight);
  EXPECT_LT(half.back(), 0.3f * half.front()) << half.front();
  for (size_t t = 0; t < half.size(); ++t)
    EXPECT_NEAR(eight[t], half[t], 0.1f * half[t] + 0.02f * half.front()) << t;
}

}  // namespace
}  // namespace linnet::policy_products_test
