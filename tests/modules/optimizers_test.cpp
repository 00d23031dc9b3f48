// Optimisers and transformations of linnet/optim/ against the real optax: five steps in all forms,
// and 100 steps resumed in the middle.
#include "linnet/optim/optimizers.h"

#include <map>

#include "linnet/error.h"
#include "linnet/optim/wrappers.h"
#include "tests/modules/optim_support.h"

namespace linnet::optimizers_test {
namespace {

using testing::check_long_trajectory;
using testing::check_short_trajectory;
using testing::GoldenFile;
using testing::noisy_gradient;
using testing::optim_start;
using testing::OptimParams;

using Named = std::map<std::string, optim::GradientTransformation>;

optim::Schedule warm() { return optim::warmup_cosine_decay_schedule(0, 0.1, 2, 5, 0.01); }

bool is_a(const tree::Path& path, const Tensor&) { return tree::to_string(path) == "a"; }

/// The optimisers of tests/reference/cases/optim.py by the names of the cases.
Named optimizers_of_optax() {
  using namespace optim;
  return {
      {"sgd", sgd(0.1)},
      {"momentum", sgd(0.1, 0.9)},
      {"nesterov", sgd(0.1, 0.9, true)},
      {"adam", adam(0.01)},
      {"adam_options", adam(0.01, {.b1 = 0.8, .b2 = 0.95, .eps = 1e-6, .eps_root = 1e-8})},
      {"adam_nesterov", adam(0.01, {.nesterov = true})},
      {"adamw", adamw(0.01, {.weight_decay = 0.1})},
      {"adamw_mask", adamw(0.01, {.weight_decay = 0.1, .mask = is_a})},
      {"adamw_schedule", adamw(warm())},
      {"nadam", nadam(0.01)},
      {"nadamw", nadamw(0.01, {.weight_decay = 0.1})},
      {"adamax", adamax(0.01)},
      {"amsgrad", amsgrad(0.01)},
      {"adabelief", adabelief(0.01)},
      {"adadelta", adadelta(0.5)},
      {"adan", adan(0.01)},
      {"radam", radam(0.01)},
      {"yogi", yogi(0.01)},
      {"novograd", novograd(0.01)},
      {"rprop", rprop(0.01)},
      {"sm3", sm3(0.1)},
      {"rmsprop", rmsprop(0.01)},
      {"rmsprop_centered", rmsprop(0.01, {.centered = true})},
      {"rmsprop_momentum",
       rmsprop(0.01, {.rms = {.decay = 0.8}, .momentum = 0.9, .nesterov = true})},
      {"lion", lion(0.01)},
      {"adagrad", adagrad(0.1)},
      {"adafactor", adafactor(0.01)},
      {"adafactor_default", adafactor()},
      {"adafactor_factored", adafactor(0.01, {.min_dim_size_to_factor = 3})},
      {"lamb", lamb(0.01, {.weight_decay = 0.1})},
      {"lars", lars(0.5, {.weight_decay = 0.1})},
      {"clip_by_global_norm", chain(clip_by_global_norm(1), sgd(0.1))},
      {"clip", chain(clip(0.5), sgd(0.1))},
      {"clip_by_block_rms", chain(clip_by_block_rms(0.5), sgd(0.1))},
      {"adaptive_grad_clip", chain(adaptive_grad_clip(0.1), sgd(0.1))},
      {"clip_adamw", chain(clip_by_global_norm(1), adamw(warm(), {.weight_decay = 0.05}))},
      {"add_decayed_weights", chain(add_decayed_weights(0.1), sgd(0.1))},
      {"ema", chain(ema(0.9), scale(-0.1))},
      {"ema_biased", chain(ema(0.9, false), scale(-0.1))},
      {"centralize", chain(centralize(), sgd(0.1))},
      {"normalize_by_update_norm", chain(normalize_by_update_norm(), sgd(0.1))},
      {"trust_ratio", chain(scale_by_trust_ratio(), scale(-0.1))},
      {"param_block_rms", chain(scale_by_param_block_rms(), scale(-0.1))},
      {"multi_transform", multi_transform({{"x", adam(0.01)}, {"y", set_to_zero()}},
                                          [](const tree::Path& path, const Tensor& p) {
                                            return is_a(path, p) ? "x" : "y";
                                          })},
      {"multi_steps", multi_steps(adam(0.01), 2)},
      {"apply_every", chain(apply_every(2), scale(-0.1))},
  };
}

TEST(OptimizersOfOptax, J_100_J_102_J_109_J_111_J_112_J_114_J_115_J_116_J_123_J_124_J_125_steps) {
  const GoldenFile golden("optim");
  for (const auto& [name, tx] : optimizers_of_optax()) check_short_trajectory(golden, name, tx);
  check_short_trajectory(golden, "masked", optim::masked(optim::sgd(0.1), is_a));
  const OptimParams start = optim_start();
  check_short_trajectory(golden, "keep_nonnegative",
                         optim::chain(optim::sgd(0.1), optim::keep_params_nonnegative()),
                         {abs(start.a), abs(start.b)});
}

TEST(OptimizersOfOptax, J_114_J_117_J_118_J_119_J_120_J_121_J_122_J_123_J_124_J_125_trajectories) {
  const GoldenFile golden("optim_long");
  for (const auto& [name, tx] : optimizers_of_optax()) check_long_trajectory(golden, name, tx);
}

TEST(OptimizersOfOptax, J_101_J_102_J_109_J_116_J_127_trajectories_of_wrappers) {
  using namespace optim;
  const GoldenFile golden("optim_long");
  const Schedule rate = cosine_decay_schedule(0.1, 80);
  const Named all{
      {"adamax_w", adamaxw(0.01, {.weight_decay = 0.1})},
      {"muon", muon(0.01, {.weight_decay = 0.1})},
      {"muon_plain",
       muon(0.01, {.muon = {.nesterov = false}, .adam = {.weight_decay = 0, .nesterov = false}})},
      {"decay_schedule", chain(add_decayed_weights(rate, is_a), sgd(0.1))},
      {"inject",
       inject_hyperparams([](const Hyperparameters& h) { return sgd(h.at("learning_rate"), 0.9); },
                          {{"learning_rate", rate}})},
      {"multi_steps_3", multi_steps(adamw(0.01), 3)},
      {"multi_steps_schedule",
       multi_steps(sgd(0.1), Schedule([](const Tensor& s) { return where(s < 10, 2.0, 4.0); }))},
      {"noisy", noisy_sgd(0.05, 0.01, 0.55, Key(9))},
      {"param_block_norm", chain(scale_by_param_block_norm(), scale(-0.01))},
      {"rms_corrected", rmsprop(0.01, {.rms = {.eps_in_sqrt = false, .bias_correction = true}})},
      {"adafactor_momentum",
       adafactor(0.01, {.min_dim_size_to_factor = 3, .momentum = 0.9, .weight_decay_rate = 0.01})},
      {"lookahead", lookahead(adam(0.01))},
      {"lookahead_reset", lookahead(adam(0.01), {.reset_state = true})},
  };
  for (const auto& [name, tx] : all) check_long_trajectory(golden, name, tx);
}

TEST(OptimizersOfOptax, J_118_small_parameters_of_16_bits_stay_finite) {
  for (const auto& [name, tx] : optimizers_of_optax()) {
    for (DType dtype : {DType::kF16, DType::kBF16}) {
      OptimParams p{astype(optim_start().a, dtype), astype(optim_start().b, dtype)};
      optim::TransformState state = tx.init(p);
      for (int t = 0; t < 3; ++t) {
        const OptimParams g = noisy_gradient(p, t);
        optim::step(tx, p, {astype(g.a, dtype), astype(g.b, dtype)}, state);
      }
      EXPECT_EQ(p.a.dtype(), dtype) << name;
      EXPECT_TRUE(all(is_finite(p.a)).item<bool>()) << name << " in " << name_of(dtype);
    }
  }
}

TEST(OptimizersOfOptax, J_115_parameters_of_every_rank) {
  struct Ranks {
    Tensor scalar, cube, kernel;
    LINNET_FIELDS(scalar, cube, kernel)
  };
  const Ranks start{ones({}), random::normal(Key(3), {2, 3, 4}),
                    random::normal(Key(4), {3, 3, 2, 4})};
  for (const auto& [name, tx] : optimizers_of_optax()) {
    if (name == "adamw_mask" || name == "multi_transform")
      continue;  // know the names of parameters
    Ranks p = start;
    optim::TransformState state = tx.init(p);
    for (int t = 0; t < 2; ++t) optim::step(tx, p, start, state);
    EXPECT_TRUE(all(is_finite(p.kernel)).item<bool>()) << name;
    EXPECT_EQ(p.cube.shape(), start.cube.shape()) << name;
    EXPECT_EQ(p.scalar.shape(), Shape{}) << name;
  }
  EXPECT_THROW(
      optim::adaptive_grad_clip(0.1).update(ones({2, 2, 2, 2, 2, 2}), {}, ones({2, 2, 2, 2, 2, 2})),
      ShapeError);
  EXPECT_THROW(
      optim::scale_by_muon().update(ones({2}), optim::scale_by_muon().init(ones({2})), ones({2})),
      ShapeError);
}

TEST(OptimizersOfOptax, J_116_nan_becomes_zero) {
  const auto tx = optim::zero_nans();
  const Tensor g = tensor({1.f, NAN, 3.f});
  const auto [updates, state] = tx.update(g, tx.init(g), g);
  EXPECT_EQ(updates.to_vector<float>(), (std::vector<float>{1, 0, 3}));
  EXPECT_TRUE(state.lists.at("found_nan")[0].item<bool>());
  EXPECT_FALSE(tx.update(ones({3}), state, g).second.lists.at("found_nan")[0].item<bool>());
}

}  // namespace
}  // namespace linnet::optimizers_test
