// A language model whose layers are one block with stacked variables, made by vmap, run by scan and
// recomputed by remat, trained against Flax (reference/cases/nnx_transforms.py).
#include "linnet/core.h"
#include "linnet/losses.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "tests/ops/golden_file.h"

namespace linnet {
namespace {

struct GptBlock {
  nnx::LayerNorm norm1;
  nnx::MultiHeadAttention attention;
  nnx::LayerNorm norm2;
  nnx::Linear up, down;
  nnx::Dropout dropout;

  explicit GptBlock(nnx::Rngs& rngs)
      : norm1(16, rngs),
        attention(2, 16, {.causal = true}, rngs),
        norm2(16, rngs),
        up(16, 32, rngs),
        down(32, 16, rngs),
        dropout(0.1, rngs) {}
  LINNET_FIELDS(norm1, attention, norm2, up, down, dropout)

  Tensor operator()(const Tensor& x) {
    const Tensor h = x + attention(norm1(x));
    return h + dropout(down(gelu(up(norm2(h)))));
  }
};

struct Gpt {
  nnx::Embed embed;
  nnx::Param position;
  GptBlock blocks;
  nnx::LayerNorm norm;

  explicit Gpt(nnx::Rngs& rngs)
      : embed(32, 16, rngs),
        position(0.02f * random::normal(rngs.params(), {12, 16})),
        blocks(nnx::split_rngs({.splits = 3},
                               nnx::vmap([](nnx::Rngs& each) { return GptBlock(each); }))(rngs)),
        norm(16, rngs) {}
  LINNET_FIELDS(embed, position, blocks, norm)

  Tensor operator()(const Tensor& tokens) {
    const auto block = nnx::remat([](const Tensor& h, GptBlock& layer) { return layer(h); });
    const auto layers = nnx::scan(block, {.in_axes = {nnx::kCarry, 0}, .out_axes = {nnx::kCarry}});
    const Tensor x = embed(tokens) + position.value();
    return embed.attend(norm(layers(x, blocks)));
  }
};

/// Cross-entropy of each next token.
Tensor next_token_loss(const Tensor& logits, const Tensor& tokens) {
  const int64_t batch = tokens.shape(0), length = tokens.shape(1);
  return cross_entropy(slice(logits, {0, 0, 0}, {batch, length - 1, logits.shape(2)}),
                       slice(tokens, {0, 1}, {batch, length}));
}

TEST(ScannedGpt, N_162_trains_as_in_flax) {
  const testing::GoldenFile golden("nnx_transforms");
  nnx::Rngs rngs{{"params", 0}, {"dropout", 7}};
  Gpt model(rngs);
  optim::Optimizer optimizer(model, optim::adam(1e-2));
  const auto step = jit([](Gpt& m, optim::Optimizer& opt, const Tensor& tokens) {
    auto [loss, gradients] =
        nnx::value_and_grad([&](Gpt& one) { return next_token_loss(one(tokens), tokens); }, m);
    opt.update(m, gradients);
    return loss;
  });
  const Tensor tokens = golden.tensor("gpt/tokens");
  std::vector<float> losses;
  for (int64_t i = 0; i < 50; ++i)
    losses.push_back(step(model, optimizer, tokens[i]).item<float>());
  testing::expect_golden(from_vector(losses, {50}), golden.tensor("gpt/losses"), 1e-4, "losses");
  testing::expect_golden(model.blocks.dropout.rngs->count(), golden.tensor("gpt/count"), 0,
                         "count");
  testing::expect_golden(model.blocks.up.kernel, golden.tensor("gpt/kernel"), 1e-3, "kernel");
  EXPECT_EQ(step.trace_count(), 1u);
}

}  // namespace
}  // namespace linnet
