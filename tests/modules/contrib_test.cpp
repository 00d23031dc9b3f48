// Rarer optimisers and losses against optax (golden/contrib.safetensors).
#include "linnet/optim/contrib.h"

#include "linnet/losses_structured.h"
#include "linnet/transforms.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::contrib_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_golden;
using testing::GoldenFile;
using namespace optim;  // NOLINT(google-build-using-namespace)

using In = const TensorList&;
using Params = std::map<std::string, Tensor>;

Tensor loss_of(const Params& p) {
  const Tensor b = p.at("b") * (arange(4) + 1);
  return sum(log(cosh(p.at("a") - 0.3))) + sum(square(b)) / 2;
}

std::map<std::string, GradientTransformation> optimisers() {
  const Schedule warm = linear_schedule(0, 0.1, 4);
  return {
      {"sign_sgd", sign_sgd(0.1)},
      {"signum", signum(0.1)},
      {"fromage", fromage(0.1)},
      {"fromage_schedule", fromage(warm)},
      {"optimistic", optimistic_gradient_descent(0.05, 0.8, 0.5)},
      {"polyak", polyak_sgd()},
      {"polyak_bounded", polyak_sgd({.f_min = -1, .max_learning_rate = 0.02, .eps = 0.1})},
      {"polyak_plus", polyak_sgd({.f_min = 5, .plus = true})},
      {"ademamix", ademamix(0.01, {.weight_decay = 0.1})},
      {"ademamix_schedule",
       ademamix(0.01, {.b3 = linear_schedule(0.9, 0.99, 4), .alpha = linear_schedule(0, 5, 4)})},
      {"adopt", adopt(0.05)},
      {"adopt_nesterov", adopt(0.05, {.nesterov = true})},
      {"adopt_free", adopt(0.05, {.use_clipping = false})},
      {"schedule_free", schedule_free(sgd(0.1), 0.1)},
      {"schedule_free_sgd", schedule_free_sgd(0.1, {.warmup_steps = 3, .weight_decay = 0.01})},
      {"schedule_free_adamw", schedule_free_adamw(0.05, {.warmup_steps = 2, .weight_decay = 0.1})}};
}

TEST(Contrib, J_115_J_125_J_127_trajectories_of_optax) {
  const GoldenFile golden("contrib");
  for (const auto& [name, tx] : optimisers()) {
    Params params{{"a", golden.tensor("start/a")}, {"b", golden.tensor("start/b")}};
    TransformState state = tx.init(params);
    for (int64_t t = 0; t < 6; ++t) {
      const auto [value, grads] = value_and_grad(loss_of)(params);
      step(tx, params, grads, state, {.value = value});
      for (const auto& [leaf, p] : params) {
        const Tensor wanted = index_axis(golden.tensor("steps/" + name + "/" + leaf), t, 0);
        expect_golden(p, wanted, 2e-5, name + "/" + leaf + " at step " + std::to_string(t));
      }
    }
    if (!golden.contains("eval/" + name + "/a")) continue;
    for (const auto& [leaf, p] : schedule_free_eval_params(state, params))
      expect_golden(p, golden.tensor("eval/" + name + "/" + leaf), 2e-5, name + " evaluated");
  }
  Params params{{"a", ones({1})}};
  const GradientTransformation polyak = polyak_sgd();
  TransformState state = polyak.init(params);
  EXPECT_THROW(step(polyak, params, params, state), ValueError);
  EXPECT_THROW(schedule_free_eval_params(state, params), TreeError);
}

struct Loss {
  std::string name;
  std::function<Tensor(In)> f;
};

TEST(Losses, J_145_of_segmentations_and_rankings) {
  using namespace loss;  // NOLINT(google-build-using-namespace)
  const GoldenFile golden("contrib");
  const Tensor sizes = tensor({5, 3, 0, 1, 2, 4});
  const Tensor items = less(expand_dims(arange(5), 0), expand_dims(sizes, 1));
  const Tensor five = arange(5) + 1;
  const DiceOptions part{.class_weights = astype(arange(4) + 1, DType::kF32),
                         .smooth = 0.5,
                         .alpha = 0.3,
                         .beta = 0.7,
                         .ignore_background = true};
  const Loss rows[] = {
      {"dice", [](In x) { return dice_loss(x[0], x[1]); }},
      {"dice_options", [&](In x) { return dice_loss(x[0], x[1], part); }},
      {"dice_axis",
       [](In x) {
         return dice_loss(x[0], x[1], {.axes = Axes{0, 1}, .per_class = true});
       }},
      {"dice_generalized", [](In x) { return multiclass_generalized_dice_loss(x[0], x[1]); }},
      {"dice_binary", [](In x) { return binary_dice_loss(x[0], x[1]); }},
      {"sparsemax", [](In x) { return sparsemax_loss(x[0], x[1]); }},
      {"multiclass_sparsemax", [](In x) { return multiclass_sparsemax_loss(x[0], x[1]); }},
      {"simplex", [&](In x) { return sparsemax(x[0]) * astype(five, DType::kF32); }},
      {"ranking", [](In x) { return ranking_softmax_loss(x[0], x[1]); }},
      {"ranking_some",
       [&](In x) {
         return ranking_softmax_loss(x[0], x[1],
                                     {.where = items, .weights = astype(five, DType::kF32)});
       }},
      {"safe_softmax", [](In x) { return safe_softmax_cross_entropy(x[0], x[1]); }}};
  for (const Loss& row : rows) {
    TensorList in{golden.tensor(row.name + "/in/0")};
    if (golden.contains(row.name + "/in/1")) in.push_back(golden.tensor(row.name + "/in/1"));
    expect_golden(row.f(in), golden.tensor(row.name + "/out"), 1e-5, row.name);
    const Tensor slope = grad([&](const Tensor& x) {
      TensorList all = in;
      all[0] = x;
      return sum(row.f(all));
    })(in[0]);
    expect_golden(slope, golden.tensor(row.name + "/grad"), 1e-5, row.name + " gradient");
  }
  EXPECT_THROW(dice_loss(ones({2, 3}), ones({2, 4})), ShapeError);
  const Tensor x = distinct({2, 3, 2}), y = sigmoid(distinct({2, 3, 2}));
  check_transforms([](In v) { return dice_loss(v[0], v[1]); }, {x, y});
  check_transforms([](In v) { return sparsemax(v[0]); }, {distinct({3, 4}, 0.11)});
  check_transforms([](In v) { return ranking_softmax_loss(v[0], v[1]); }, {x, y});
}

}  // namespace
}  // namespace linnet::contrib_test
