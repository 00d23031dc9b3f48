// L-BFGS and its line search against the real optax.
#include "linnet/optim/lbfgs.h"

#include <cmath>

#include "linnet/error.h"
#include "tests/modules/optim_support.h"

namespace linnet::lbfgs_test {
namespace {

using testing::expect_golden;
using testing::GoldenFile;

/// Rosenbrock's function, least at (1, 1).
Tensor rosenbrock(const TensorList& p) {
  const Tensor x = p[0][0], y = p[0][1];
  return square(1 - x) + 100 * square(y - x * x);
}

TEST(Lbfgs, J_126_preconditioned_steps_are_those_of_optax) {
  testing::check_long_trajectory(GoldenFile("optim_long"), "lbfgs",
                                 optim::chain(optim::scale_by_lbfgs(5), optim::scale(-0.02)));
  EXPECT_THROW(optim::scale_by_lbfgs(0), ValueError);
}

TEST(Lbfgs, J_126_backtracking_is_that_of_optax) {
  const GoldenFile golden("optim_long");
  const auto tx = optim::lbfgs({}, {.linesearch = optim::scale_by_backtracking_linesearch()});
  TensorList p{tensor({-1.2f, 1.0f})};
  optim::TransformState state = tx.init(p);
  const auto step = jit([tx](TensorList& q, optim::TransformState& s) {
    const auto [value, gradient] = value_and_grad(rosenbrock)(q);
    optim::step(tx, q, gradient, s, {.value = value, .value_fn = rosenbrock});
  });
  const Tensor wanted = golden.tensor("lbfgs_backtracking/params"),
               rates = golden.tensor("lbfgs_backtracking/rates");
  for (int64_t i = 0; i < wanted.shape(0); ++i) {
    step(p, state);
    // Close to the valley the steps amplify what rounding did to the ones before.
    expect_golden(p[0], wanted[i], 1e-3, "step " + std::to_string(i));
    expect_golden(state.parts.at(2).lists.at("learning_rate")[0], rates[i], 1e-6,
                  "rate " + std::to_string(i));
  }
}

TEST(Lbfgs, J_126_convex_problems_are_solved) {
  const auto f = [](const TensorList& p) {
    return sum(tensor({1.f, 10.f, 100.f}) * square(p[0] - 3)) + sum(log(cosh(p[1])));
  };
  const auto tx = optim::lbfgs();
  TensorList p{zeros({3}), ones({2})};
  optim::TransformState state = tx.init(p);
  for (int i = 0; i < 40; ++i) {
    const auto [value, gradient] = value_and_grad(f)(p);
    optim::step(tx, p, gradient, state, {.value = value, .value_fn = f});
  }
  expect_golden(p[0], full({3}, 3.f), 1e-3, "quadratic part");
  expect_golden(p[1], zeros({2}), 1e-3, "the other part");
}

TEST(Lbfgs, J_126_zooming_is_that_of_optax) {
  const GoldenFile golden("optim_long");
  const auto tx = optim::lbfgs();
  TensorList p{tensor({-1.2f, 1.0f})};
  optim::TransformState state = tx.init(p);
  const auto step = jit([tx](TensorList& q, optim::TransformState& s) {
    const auto [value, gradient] = value_and_grad(rosenbrock)(q);
    optim::step(tx, q, gradient, s, {.value = value, .value_fn = rosenbrock});
  });
  const Tensor wanted = golden.tensor("lbfgs_zoom/params"),
               rates = golden.tensor("lbfgs_zoom/rates");
  for (int64_t i = 0; i < wanted.shape(0); ++i) {
    step(p, state);
    // Close to the valley the steps amplify what rounding did to the ones before.
    expect_golden(p[0], wanted[i], 1e-3, "step " + std::to_string(i));
    expect_golden(state.parts.at(2).lists.at("learning_rate")[0], rates[i], 1e-2,
                  "rate " + std::to_string(i));
  }
  for (int i = 0; i < 40; ++i) step(p, state);
  expect_golden(p[0], tensor({1.f, 1.f}), 1e-3, "the minimum");
}

TEST(Lbfgs, J_126_steps_satisfy_the_conditions_of_wolfe) {
  const auto f = [](const TensorList& q) { return sum(square(square(q[0]) - 2)); };
  const auto tx = optim::scale_by_zoom_linesearch();
  for (float scale : {1e-3f, 1.f, 30.f}) {
    const TensorList p{tensor({3.f, -0.5f})};
    const auto [value, gradient] = value_and_grad(f)(p);
    const TensorList u{-scale * gradient[0]};
    const auto [updates, state] =
        tx.update(u, tx.init(p), p, {.value = value, .value_fn = f, .gradients = gradient});
    const auto [after, slope] = value_and_grad(f)(TensorList{p[0] + updates[0]});
    const double start = sum(u[0] * gradient[0]).item<double>(),
                 there = sum(u[0] * slope[0]).item<double>(),
                 step = state.lists.at("learning_rate")[0].item<double>();
    EXPECT_LE(after.item<double>(), value.item<double>() + 1e-4 * step * start) << scale;
    EXPECT_LE(std::abs(there), 0.9 * std::abs(start)) << scale;
  }
}

TEST(Lbfgs, J_126_no_step_is_made_without_a_finite_value) {
  const auto tx = optim::scale_by_backtracking_linesearch({.max_steps = 3});
  const TensorList p{ones({2})}, u{ones({2})};
  const auto nan = [](const TensorList& q) { return sum(q[0]) * NAN; };
  const auto [updates, state] =
      tx.update(u, tx.init(p), p, {.value = Tensor(1.f), .value_fn = nan, .gradients = u});
  EXPECT_EQ(updates[0].to_vector<float>(), (std::vector<float>{0, 0}));
  EXPECT_EQ(state.lists.at("learning_rate")[0].item<float>(), 0);
  EXPECT_EQ(state.lists.at("steps")[0].item<int>(), 4);
  EXPECT_THROW(tx.update(u, tx.init(p), p), ValueError);
  const auto zoom = optim::scale_by_zoom_linesearch({.max_steps = 3});
  EXPECT_EQ(zoom.update(u, zoom.init(p), p, {.value = Tensor(1.f), .value_fn = nan, .gradients = u})
                .first[0]
                .to_vector<float>(),
            (std::vector<float>{0, 0}));
  EXPECT_THROW(zoom.update(u, zoom.init(p), p), ValueError);
}

TEST(Lbfgs, J_126_without_line_search_the_rate_counts) {
  const auto tx = optim::lbfgs(0.5, {.linesearch = {}});
  Tensor p = tensor({2.f});
  optim::TransformState state = tx.init(p);
  for (int i = 0; i < 40; ++i) optim::step(tx, p, 2 * p, state);
  EXPECT_NEAR(p.item<float>(), 0, 1e-4);
}

}  // namespace
}  // namespace linnet::lbfgs_test
