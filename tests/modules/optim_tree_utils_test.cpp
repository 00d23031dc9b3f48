// Arithmetic on trees, named chains, transformations made of functions; what optax calls
// tree_utils.
#include "linnet/optim/tree_utils.h"

#include <gtest/gtest.h>

#include <cmath>

#include "linnet/core.h"

namespace linnet::optim_tree_utils_test {
namespace {

struct Pair {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};
Pair first() { return {tensor({1.f, -2.f}), tensor({{3.f}})}; }
Pair second() { return {tensor({5.f, 6.f}), tensor({{-1.f}})}; }
std::vector<float> values(const Pair& p) {
  std::vector<float> out;
  for (const Tensor& leaf : tree::leaves(p)) {
    for (float value : leaf.to_vector<float>()) out.push_back(value);
  }
  return out;
}

TEST(OptimTreeUtils, J_106_incremental_and_periodic_updates) {
  using optim::incremental_update;
  EXPECT_EQ(values(incremental_update(second(), first(), 0.25)), (std::vector<float>{2, 0, 2}));
  const auto periodic =
      jit([](const Tensor& steps) { return optim::periodic_update(second(), first(), steps, 3); });
  for (int step = 0; step < 7; ++step) {
    EXPECT_EQ(values(periodic(scalar(step, DType::kI32))),
              values(step % 3 == 0 ? second() : first()))
        << step;
  }
}

TEST(OptimTreeUtils, J_106_tree_arithmetic) {
  using namespace optim;
  EXPECT_EQ(values(tree_add(first(), second())), (std::vector<float>{6, 4, 2}));
  EXPECT_EQ(values(tree_sub(first(), second())), (std::vector<float>{-4, -8, 4}));
  EXPECT_EQ(values(tree_mul(first(), second())), (std::vector<float>{5, -12, -3}));
  EXPECT_EQ(values(tree_scale(2.0, first())), (std::vector<float>{2, -4, 6}));
  EXPECT_EQ(values(tree_add_scale(first(), 0.5, second())), (std::vector<float>{3.5, 1, 2.5}));
  EXPECT_EQ(values(tree_zeros_like(first())), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(values(tree_full_like(first(), 4)), (std::vector<float>{4, 4, 4}));
  EXPECT_EQ(tree_sum(first()).item<float>(), 2);
  EXPECT_EQ(tree_vdot(first(), second()).item<float>(), -10);
  EXPECT_FLOAT_EQ(tree_norm(first()).item<float>(), std::sqrt(14.f));
}

TEST(OptimTreeUtils, J_105_stateless_updates) {
  const auto tx = optim::stateless([](const TensorList& grads, const TensorList& params) {
    TensorList out;
    for (size_t i = 0; i < grads.size(); ++i) out.push_back(grads[i] * params[i]);
    return out;
  });
  const auto [updates, state] = tx.update(first(), tx.init(second()), second());
  EXPECT_EQ(values(updates), (std::vector<float>{5, -12, -3}));
  EXPECT_TRUE(tree::leaves(state).empty());
}

TEST(OptimTreeUtils, J_099_parts_of_a_named_chain_are_found_by_name) {
  const auto tx = optim::named_chain(
      {{"clip", optim::clip(1.0)}, {"adam", optim::scale_by_adam()}, {"rate", optim::scale(-0.1)}});
  const auto plain = optim::chain(optim::clip(1.0), optim::scale_by_adam(), optim::scale(-0.1));
  auto [updates, state] = tx.update(first(), tx.init(second()), second());
  EXPECT_EQ(values(updates), values(plain.update(first(), plain.init(second()), second()).first));
  EXPECT_EQ(tx.part(state, "adam").lists.at("count")[0].item<int32_t>(), 1);
  EXPECT_FLOAT_EQ(tx.part(std::as_const(state), "adam").lists.at("mu")[0].to_vector<float>()[1],
                  -0.1f);
  EXPECT_THROW(tx.part(state, "sgd"), ValueError);
  EXPECT_THROW(optim::named_chain({{"a", optim::identity()}, {"a", optim::identity()}}),
               ValueError);
}

TEST(OptimTreeUtils, J_107_the_running_mean_is_kept_in_its_own_dtype) {
  const auto narrow = optim::adam(0.1, {.mu_dtype = DType::kBF16}), wide = optim::adam(0.1);
  Pair by_narrow = first(), by_wide = first();
  optim::TransformState a = narrow.init(by_narrow), b = wide.init(by_wide);
  EXPECT_EQ(a.parts.at(0).lists.at("mu")[0].dtype(), DType::kBF16);
  EXPECT_EQ(a.parts.at(0).lists.at("nu")[0].dtype(), DType::kF32);
  for (int step = 0; step < 5; ++step) {
    optim::step(narrow, by_narrow, second(), a);
    optim::step(wide, by_wide, second(), b);
  }
  EXPECT_EQ(a.parts.at(0).lists.at("mu")[0].dtype(), DType::kBF16);
  const std::vector<float> x = values(by_narrow), y = values(by_wide);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 0.02) << i;
  EXPECT_NE(narrow.description, wide.description);
}

}  // namespace
}  // namespace linnet::optim_tree_utils_test
