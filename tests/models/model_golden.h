// Whole models against what reference/model_golden.py has recorded of them in Flax: variable trees
// with metadata, initial values, outputs, gradients, changed state, losses.
//
//   const testing::GoldenFile golden("models");
//   testing::check_functional(golden, "cnn/linen", task, [](linen::Scope& s, const Tensor& x, bool
//   train) {
//     return Cnn{}(s, x, train); });
//   testing::check_object(golden, "cnn/nnx", task, [] { return testing::object_model<ObjectCnn>(x);
//   });
//
// Models are behind functions, so that training is compiled once and not once for each of them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "linnet/bridge/to_nnx.h"
#include "linnet/linen/scope.h"
#include "linnet/nnx/graph.h"
#include "linnet/optim.h"
#include "tests/ops/golden_file.h"

namespace linnet::testing {

/// How near rows of leaves must be. Elements: to `relative` of the largest of their leaf, since a
/// single one may cancel; sums: of the sum of absolute values. Whole leaves may cancel too (the
/// gradient of a bias that shifts all scores of attention by the same is zero but for rounding), so
/// all may also differ by `of_tree` of the largest element of the tree, from where the rounding
/// comes.
struct RowTolerance {
  double relative, of_tree = 0;
};

/// Both sides compute initial values by one formula in f32; logarithms and square roots may differ
/// by a last place or two.
inline constexpr RowTolerance kInitial{5e-7};
/// What a model learns: batches [batch count, batch, ...], as many of x as of `target`.
struct ModelTask {
  Tensor x, target;
  std::function<Tensor(const Tensor& out, const Tensor& target)> loss;
  optim::GradientTransformation tx;
  RowTolerance initial = kInitial;
};

using FunctionalModel = std::function<Tensor(linen::Scope&, const Tensor& x, bool train)>;

/// An object model with its variables; `state` holds the model's own.
struct ObjectModel {
  std::function<Tensor(const Tensor& x, bool train)> call;
  nnx::State state;
};

/// M(rngs) with the streams params = key 0 and dropout = key 1, whose wrapped modules have made
/// their variables for `x`.
template <class M>
ObjectModel object_model(const Tensor& x) {
  nnx::Rngs rngs{{"params", Key(0)}, {"dropout", Key(1)}};
  const auto model = std::make_shared<M>(rngs);
  bridge::lazy_init(*model, x, false);
  return {[model](const Tensor& input, bool train) { return (*model)(input, train); },
          nnx::state(*model)};
}

/// Sums of some hundred products in another order.
inline constexpr double kOutput = 1e-5;
inline constexpr RowTolerance kUpdates{1e-5}, kGradient{1e-5, 3e-7};
inline constexpr double kLoss = 1e-3;

/// The text of a tree: paths, dtypes, shapes, kinds or boxes, metadata.
std::string tree_text(const linen::Variables& variables);
std::string tree_text(const nnx::State& state);
/// The tree and the values of its leaves, of which integers and keys must be equal.
void check_tree(const GoldenFile& golden, const std::string& name, const linen::Variables& tree,
                const RowTolerance& tolerance);
void check_tree(const GoldenFile& golden, const std::string& name, const nnx::State& tree,
                const RowTolerance& tolerance);
/// The values alone.
void check_rows(const GoldenFile& golden, const std::string& name, const linen::Variables& tree,
                const RowTolerance& tolerance);
void check_rows(const GoldenFile& golden, const std::string& name, const nnx::State& tree,
                const RowTolerance& tolerance);
/// Equal types; elements within `tolerance` of the largest of them all.
void check_output(const GoldenFile& golden, const std::string& name, const Tensor& got,
                  double tolerance);

/// How many of `recorded` training steps are done: all on the CPU, few on an emulated device.
int64_t training_steps(int64_t recorded);
/// Losses of as many steps as were done, within 1e-3 of those recorded.
void check_losses(const GoldenFile& golden, const std::string& name, const TensorList& losses);

/// Everything recorded by `record_functional` and `record_object`.
void check_functional(const GoldenFile& golden, const std::string& name, const ModelTask& task,
                      const FunctionalModel& model);
void check_object(const GoldenFile& golden, const std::string& name, const ModelTask& task,
                  const std::function<ObjectModel()>& make);

}  // namespace linnet::testing
