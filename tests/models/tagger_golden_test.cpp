// The tagger of examples/sequence_tagger against the same network in Flax, trained by Optax: the
// same sequences, and the same losses over 50 steps.
#include "examples/sequence_tagger/tagger.h"
#include "linnet/jit.h"
#include "tests/ops/golden_file.h"

namespace linnet::tagger_golden_test {
namespace {

using testing::expect_golden;
using testing::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile file("recurrent");
  return file;
}

tagger::Batch golden_batch() {
  return {golden().tensor("tagger/tokens"), golden().tensor("tagger/tags"),
          golden().tensor("tagger/lengths")};
}

constexpr int kSteps = 50;

TEST(Tagger, SequencesAndTagsOfAKey) {
  const tagger::Batch made = tagger::make_batch(Key(1), 16, 12), expected = golden_batch();
  expect_golden(made.tokens, expected.tokens, 0, "tokens");
  expect_golden(made.tags, expected.tags, 0, "tags");
  expect_golden(made.lengths, expected.lengths, 0, "lengths");
}

template <class Cell>
void check_functional(const std::string& name) {
  SCOPED_TRACE(name);
  const tagger::Batch batch = golden_batch();
  linen::Variables params =
      linen::init(tagger::Tagger<Cell>{}, Key(0), batch.tokens, batch.lengths)["params"];
  const auto tx = optim::adam(0.01);
  optim::TransformState state = tx.init(params);
  const auto step =
      jit([tx](linen::Variables& p, optim::TransformState& s, const tagger::Batch& b) {
        return tagger::functional_step<Cell>(p, s, tx, b);
      });
  TensorList losses;
  for (int i = 0; i < kSteps; ++i) losses.push_back(step(params, state, batch));
  expect_golden(stack(losses), golden().tensor("tagger_losses/linen_" + name + "/losses"), 1e-3,
                "losses");
  EXPECT_LT(losses.back().item<float>(), 0.3f * losses.front().item<float>());
}

template <class Cell>
void check_stateful(const std::string& name) {
  SCOPED_TRACE(name);
  const tagger::Batch batch = golden_batch();
  nnx::Rngs rngs(0);
  tagger::StatefulTagger<Cell> model(rngs);
  optim::Optimizer optimizer(model, optim::adam(0.01));
  const auto step = jit(tagger::stateful_step<Cell>);
  TensorList losses;
  for (int i = 0; i < kSteps; ++i) losses.push_back(step(model, optimizer, batch));
  expect_golden(stack(losses), golden().tensor("tagger_losses/nnx_" + name + "/losses"), 1e-3,
                "losses");
}

TEST(Tagger, L_155_LossesOfTheFunctionalTagger) {
  check_functional<linen::OptimizedLSTMCell>("lstm");
  check_functional<linen::GRUCell>("gru");
}

TEST(Tagger, N_140_LossesOfTheStatefulTagger) {
  check_stateful<nnx::OptimizedLSTMCell>("lstm");
  check_stateful<nnx::GRUCell>("gru");
}

}  // namespace
}  // namespace linnet::tagger_golden_test
