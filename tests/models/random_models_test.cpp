// Random trees of layers that change from one API to the other at random places, against the real
// Flax: the structure follows from a seed on both sides (reference/cases/random_models.py).
#include "linnet/linnet.h"
#include "tests/bridge/random_trees.h"
#include "tests/models/model_golden.h"

namespace linnet::random_models_test {
namespace {

using bridge_tests::FunctionalTree;
using bridge_tests::ObjectTree;
using linen::Variables;
using testing::check_rows;
using testing::check_tree;
using testing::GoldenFile;
using testing::kInitial;

/// Norms after norms have gradients and means that are zero but for the rounding of ones.
constexpr testing::RowTolerance kUpdates{1e-5, 1e-7}, kGradient{1e-5, 1e-6};
constexpr int64_t kUnit = 4;

void check_outputs(const GoldenFile& golden, const std::string& name, const Tensor& evaluated,
                   const Tensor& trained) {
  const Variables both{{"evaluated", evaluated}, {"trained", trained}};
  check_rows(golden, name + "/outputs", both, {1e-5});
}

void check(const GoldenFile& golden, const FunctionalTree& tree, int64_t seed, const Tensor& x) {
  const std::string name = std::to_string(seed) + "/linen";
  SCOPED_TRACE(name);
  const linen::RngStreams keys{{"params", Key(seed)}, {"dropout", Key(seed + 100)}};
  const Variables variables = linen::init(tree, keys, x, false);
  check_tree(golden, name + "/initial", variables, kInitial);

  Variables rest = variables;
  rest.children().erase("params");
  std::vector<std::string> mutate = rest.keys();
  std::erase(mutate, "nnx");
  const linen::ApplyOptions training{.mutate = mutate, .rngs = {{"dropout", Key(seed + 100)}}};
  Tensor trained;
  const auto [loss, updates, grads] = value_and_grad([&](const Variables& params) {
    const Variables all = rest | Variables{{"params", params}};
    auto [out, changed] = linen::apply_with(training, tree, all, x, true);
    return std::make_pair(mean(square(out)), std::make_pair(out, changed));
  })(variables["params"]);
  check_rows(golden, name + "/gradients", grads, kGradient);
  if (golden.contains(name + "/updates/rows"))
    check_rows(golden, name + "/updates", updates.second, kUpdates);
  // Objects within objects are constructed again, with streams of the call.
  const linen::ApplyOptions evaluation{.rngs = training.rngs};
  const auto evaluated = linen::apply_with(evaluation, tree, variables, x, false);
  check_outputs(golden, name, evaluated.first, updates.first);
}

void check(const GoldenFile& golden, const bridge_tests::TreeSpecPtr& spec, int64_t seed,
           const Tensor& x) {
  const std::string name = std::to_string(seed) + "/nnx";
  SCOPED_TRACE(name);
  nnx::Rngs rngs{{"params", Key(seed)}, {"dropout", Key(seed + 100)}};
  ObjectTree tree(spec, true, rngs);
  bridge::lazy_init(tree, x, false);
  check_tree(golden, name + "/initial", nnx::state(tree), kInitial);
  ObjectTree copy = nnx::clone(tree);
  const Tensor evaluated = copy(x, false);
  const auto [loss, trained, grads] = nnx::value_and_grad(
      [&](ObjectTree& one) {
        const Tensor out = one(x, true);
        return std::make_pair(mean(square(out)), out);
      },
      tree);
  check_rows(golden, name + "/gradients", grads, kGradient);
  if (golden.contains(name + "/updates/rows")) {
    const nnx::Filter rest = nnx::not_(nnx::of_type<nnx::Param>());
    check_rows(golden, name + "/updates", nnx::state(tree, rest), kUpdates);
  }
  check_outputs(golden, name, evaluated, trained);
}

TEST(RandomModels, EqualThoseOfFlax) {
  const GoldenFile golden("random_models");
  const int64_t seeds = default_device().type == DeviceType::kCpu ? 30 : 3;
  const Tensor x = random::normal(Key(11), {16, 3 * kUnit});
  for (int64_t seed = 0; seed < seeds; ++seed) {
    std::mt19937 draws(static_cast<uint32_t>(seed));
    const bridge_tests::TreeSpecPtr spec =
        bridge_tests::random_tree(draws, 3 * kUnit, 2, true, {.rate = 0.25, .unit = kUnit});
    check(golden, FunctionalTree{spec, true}, seed, x);
    check(golden, spec, seed, x);
  }
}

}  // namespace
}  // namespace linnet::random_models_test
