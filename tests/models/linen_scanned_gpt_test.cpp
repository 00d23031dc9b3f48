// A language model whose layers are one block under linen's scan, recomputed by remat, trained
// against Flax (reference/cases/linen_transforms.py).
#include "linnet/core.h"
#include "linnet/linen.h"
#include "linnet/losses.h"
#include "linnet/optim.h"
#include "tests/ops/golden_file.h"

namespace linnet {
namespace {

using linen::Scope;

struct GptBlock {
  LINNET_FIELDS()
  std::pair<Tensor, std::tuple<>> operator()(Scope& s, const Tensor& x) const {
    Tensor h = s("norm1", linen::LayerNorm{}, x);
    h = x + s("attention", linen::SelfAttention{.heads = 2, .causal = true}, h);
    Tensor y = s("norm2", linen::LayerNorm{}, h);
    y = gelu(s("up", linen::Dense{.features = 32}, y));
    y = s("down", linen::Dense{.features = 16}, y);
    return {h + s("dropout", linen::Dropout{.rate = 0.1, .deterministic = false}, y), {}};
  }
};

struct Gpt {
  Tensor operator()(Scope& s, const Tensor& tokens) const {
    const linen::Embed embed{.num_embeddings = 32, .features = 16};
    Scope table = s.child("embed");
    Tensor x = Scope::call(table, embed, tokens);
    x = x + s.param("position", init::normal(0.02), {12, 16});
    const auto layers =
        linen::scan(linen::remat(GptBlock{}), {.variable_axes = {{"params", 0}},
                                               .split_rngs = {{"params", true}, {"dropout", true}},
                                               .length = 3});
    x = s("layers", layers, x).first;
    const auto attend = [&](Scope& t, const Tensor& query) { return embed.attend(t, query); };
    return Scope::call(table, attend, s("norm", linen::LayerNorm{}, x));
  }
};

/// Cross-entropy of each next token.
Tensor next_token_loss(const Tensor& logits, const Tensor& tokens) {
  const int64_t batch = tokens.shape(0), length = tokens.shape(1);
  return cross_entropy(slice(logits, {0, 0, 0}, {batch, length - 1, logits.shape(2)}),
                       slice(tokens, {0, 1}, {batch, length}));
}

struct TrainState {
  linen::Variables params;
  optim::TransformState optimizer;
};

TEST(ScannedGpt, L_080_L_085_trains_as_in_flax) {
  const testing::GoldenFile golden("linen_transforms");
  const Tensor tokens = golden.tensor("gpt/tokens");
  const auto tx = optim::adam(1e-2);
  TrainState state;
  state.params = linen::init(Gpt{}, {{"params", Key(0)}, {"dropout", Key(1)}}, tokens[0]);
  state.optimizer = tx.init(state.params);
  const auto step = jit([tx](TrainState& train, const Tensor& batch, const Key& key) {
    auto [loss, gradients] = value_and_grad([&](const linen::Variables& params) {
      const linen::ApplyOptions options{.rngs = {{"dropout", key}}};
      return next_token_loss(linen::apply_with(options, Gpt{}, params, batch).first, batch);
    })(train.params);
    optim::step(tx, train.params, gradients, train.optimizer);
    return loss;
  });
  std::vector<float> losses;
  for (int64_t i = 0; i < 50; ++i) {
    const Key key = random::fold_in(Key(7), static_cast<uint32_t>(i));
    losses.push_back(step(state, tokens[i], key).item<float>());
  }
  testing::expect_golden(from_vector(losses, {50}), golden.tensor("gpt/losses"), 1e-4, "losses");
  testing::expect_golden(state.params["params"]["layers"]["up"]["kernel"],
                         golden.tensor("gpt/kernel"), 1e-3, "kernel");
  EXPECT_EQ(step.trace_count(), 1u);
}

}  // namespace
}  // namespace linnet
