// The problems of the trajectories in tests/reference/cases/optim.py and optim_long.py.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "linnet/core.h"
#include "linnet/optim.h"
#include "tests/ops/golden_file.h"

namespace linnet::testing {

struct OptimParams {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};

inline OptimParams optim_start() {
  return {random::normal(Key(0), {3, 4}), random::normal(Key(1), {4})};
}

/// The five gradients of the short trajectories; the last is zero.
inline OptimParams optim_gradient(int step) {
  constexpr double kScale[] = {1.0, 3.0, 0.1, 1.0, 0.0};
  const Key key(100 + step);
  return {kScale[step] * random::normal(key, {3, 4}),
          kScale[step] * random::normal(random::fold_in(key, 1), {4})};
}

/// The gradient of the noisy quadratic at step t of the long trajectories.
inline OptimParams noisy_gradient(const OptimParams& p, int t) {
  const auto noise = [&](int part, const Shape& shape) {
    return random::normal(random::fold_in(Key(7), static_cast<uint32_t>(2 * t + part)), shape);
  };
  return {(p.a - random::normal(Key(2), {3, 4})) / 4 + noise(0, {3, 4}),
          (p.b - random::normal(Key(3), {4})) / 4 + noise(1, {4})};
}

inline void expect_params(const OptimParams& got, const GoldenFile& golden, const std::string& key,
                          double tolerance, const std::string& what) {
  expect_golden(got.a, golden.tensor(key + "a"), tolerance, what + " a");
  expect_golden(got.b, golden.tensor(key + "b"), tolerance, what + " b");
}

/// Five steps as updates, as whole steps, and as whole steps under jit.
inline void check_short_trajectory(const GoldenFile& golden, const std::string& name,
                                   const optim::GradientTransformation& tx,
                                   const OptimParams& start = optim_start()) {
  OptimParams updated = start, stepped = start, jitted = start;
  optim::TransformState state = tx.init(start), step_state = state, jit_state = state;
  const auto jit_step = jit([tx](OptimParams& p, optim::TransformState& s, const OptimParams& g) {
    optim::step(tx, p, g, s);
  });
  for (int t = 0; t < 5; ++t) {
    const OptimParams g = optim_gradient(t);
    auto [updates, next] = tx.update(g, state, updated);
    state = next;
    updated = optim::apply_updates(updated, updates);
    optim::step(tx, stepped, g, step_state);
    jit_step(jitted, jit_state, g);
    for (const auto& [kind, got] :
         {std::pair{"updates", updated}, {"step", stepped}, {"jit", jitted}}) {
      expect_params(got, golden, name + "/params/" + std::to_string(t) + "/", 5e-6,
                    name + " " + kind + " step " + std::to_string(t));
    }
  }
}

/// 100 compiled steps; the state of the 50th is taken apart, as a checkpoint does, and put into a
/// new one.
inline void check_long_trajectory(const GoldenFile& golden, const std::string& name,
                                  const optim::GradientTransformation& tx) {
  OptimParams params = optim_start();
  optim::TransformState state = tx.init(params);
  const auto step = jit([tx](OptimParams& p, optim::TransformState& s, const OptimParams& g) {
    optim::step(tx, p, g, s);
  });
  for (int t = 0; t < 100; ++t) {
    step(params, state, noisy_gradient(params, t));
    if (t == 49) {
      expect_params(params, golden, name + "/50/", 1e-5, name + " after 50 steps");
      state = tree::unflatten(tx.init(optim_start()), tree::leaves(state));
    }
  }
  expect_params(params, golden, name + "/100/", 1e-5, name + " after 100 steps");
}

}  // namespace linnet::testing
