// What policies of remat keep of modules: fewer operations again, the same gradients.
#include <gtest/gtest.h>

#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "tests/ops/golden_file.h"

namespace linnet::remat_policy_test {
namespace {

namespace policies = checkpoint_policies;
using testing::expect_golden;

/// How often tanh stands in a program and the bodies of its loops; its result is named "h".
size_t count_tanh(const std::string& text) {
  size_t count = 0;
  for (size_t at = text.find(" tanh("); at != std::string::npos; at = text.find(" tanh(", at + 1))
    ++count;
  return count;
}

struct Mlp {
  nnx::Linear up, down;
  explicit Mlp(nnx::Rngs& rngs) : up(3, 8, rngs), down(8, 3, rngs) {}
  LINNET_FIELDS(up, down)
  Tensor operator()(const Tensor& x) { return down(checkpoint_name(tanh(up(x)), "h")); }
};

TEST(RematPolicy, N_099_of_objects) {
  const Tensor x = random::normal(Key(1), {4, 3});
  const auto gradient = [&](const CheckpointPolicy& policy) {
    const auto block = nnx::remat([](Mlp& m, const Tensor& input) { return m(input); }, policy);
    return jit([block](const Mlp& m, const Tensor& input) {
      Mlp model = m;
      return nnx::grad([&](Mlp& one) { return sum(square(block(one, input))); }, model);
    });
  };
  nnx::Rngs rngs(0);
  const Mlp model(rngs);
  const auto again = gradient({}), named = gradient(policies::save_only_these_names({"h"}));
  EXPECT_EQ(count_tanh(again.lower(model, x).text()), 1 + count_tanh(named.lower(model, x).text()));
  const nnx::State a = again(model, x), b = named(model, x);
  ASSERT_EQ(a.size(), 4u);
  for (size_t i = 0; i < a.size(); ++i) {
    expect_golden(b.entries()[i].second.value(), a.entries()[i].second.value(), 1e-6,
                  tree::to_string(a.entries()[i].first));
  }
}

// Each level but the innermost is recomputed: a loop of three turns, whose values are those that it
// gives.
TEST(RematPolicy, L_081_of_nested_loops) {
  const auto block = [](linen::Scope& s, const Tensor& x) {
    return checkpoint_name(tanh(s("dense", linen::Dense{.features = 3}, x)), "h");
  };
  const Tensor x = random::normal(Key(1), {4, 3});
  const auto gradient = [&](const CheckpointPolicy& policy) {
    const auto deep = linen::remat_scan(block, {.lengths = {2, 3}, .policy = policy});
    const linen::Variables variables = linen::init(deep, Key(0), x);
    const auto f = jit([deep](const linen::Variables& v, const Tensor& input) {
      return grad([&](const linen::Variables& all) {
        return sum(square(linen::apply(deep, all, input)));
      })(v);
    });
    return std::pair(f.lower(variables, x).text(), f(variables, x));
  };
  const auto [text, gradients] = gradient({});
  const auto [kept_text, kept] = gradient(policies::everything_saveable());
  EXPECT_LT(count_tanh(kept_text), count_tanh(text));
  const auto a = linen::flat_leaves(gradients), b = linen::flat_leaves(kept);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    expect_golden(b[i].second->value(), a[i].second->value(), 1e-6, "gradient");
}

}  // namespace
}  // namespace linnet::remat_policy_test
