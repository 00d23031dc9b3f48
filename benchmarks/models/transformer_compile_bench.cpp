// Tracing and compiling a training step of a transformer of 12 layers, GPT-2's sizes, with AdamW
// and clipping. Nothing is run, and the weights have no values: only their types are needed.
#include <benchmark/benchmark.h>

#include <vector>

#include "linnet/linnet.h"

namespace {

using namespace linnet;

constexpr int64_t kTokens = 50257, kLength = 1024, kWidth = 768, kHeads = 12, kLayers = 12;

struct Block {
  nnx::LayerNorm attention_norm, mlp_norm;
  nnx::SelfAttention attention;
  nnx::Linear up, down;

  explicit Block(nnx::Rngs& rngs)
      : attention_norm(kWidth, rngs),
        mlp_norm(kWidth, rngs),
        attention(kWidth, kHeads, {.causal = true}, rngs),
        up(kWidth, 4 * kWidth, rngs),
        down(4 * kWidth, kWidth, rngs) {}
  LINNET_FIELDS(attention_norm, mlp_norm, attention, up, down)

  Tensor operator()(const Tensor& x) {
    const Tensor h = x + attention(attention_norm(x));
    return h + down(gelu(up(mlp_norm(h))));
  }
};

struct Gpt {
  nnx::Embed tokens, positions;
  std::vector<Block> blocks;
  nnx::LayerNorm norm;

  explicit Gpt(nnx::Rngs& rngs)
      : tokens(kTokens, kWidth, rngs), positions(kLength, kWidth, rngs), norm(kWidth, rngs) {
    for (int64_t i = 0; i < kLayers; ++i) blocks.emplace_back(rngs);
  }
  LINNET_FIELDS(tokens, positions, blocks, norm)

  Tensor operator()(const Tensor& x) {
    Tensor h = tokens(x) + positions(arange(x.shape(1)));
    for (Block& block : blocks) h = block(h);
    return tokens.attend(norm(h));
  }
};

struct Training {
  Gpt model;
  optim::Optimizer optimizer;
  LINNET_FIELDS(model, optimizer)
};

Training make_training() {
  nnx::Rngs rngs(0);
  Gpt model(rngs);
  optim::Optimizer optimizer(model,
                             optim::chain(optim::clip_by_global_norm(1.0), optim::adamw(3e-4)));
  return {std::move(model), std::move(optimizer)};
}

Tensor train(Training& t, const Tensor& x, const Tensor& y) {
  const auto [loss, gradients] =
      nnx::value_and_grad([&](Gpt& m) { return cross_entropy(m(x), y); }, t.model);
  t.optimizer.update(t.model, gradients);
  return loss;
}

/// @param compiles whether the traced program is compiled too. `memory_limit` of its arena; 0:
/// none.
void measure(benchmark::State& state, bool compiles, double memory_share = 0) {
  Training training = nnx::eval_shape(make_training);
  const Tensor x = eval_shape([] { return zeros({4, kLength}, DType::kI32); });
  size_t arena = 0, limit = 0;
  if (memory_share > 0) {
    const size_t needed = jit(train).lower(training, x, x).arena_bytes();
    limit = static_cast<size_t>(static_cast<double>(needed) * memory_share);
  }
  for (auto _ : state) {
    const Lowered program = jit(train, {.memory_limit = limit}).lower(training, x, x);
    if (compiles) arena = program.arena_bytes();
  }
  if (compiles) state.counters["arena_MiB"] = static_cast<double>(arena) / (1 << 20);
}

void transformer_trace(benchmark::State& state) { measure(state, false); }
/// With kernels that were prepared before, but for the first iteration.
void transformer_trace_and_compile(benchmark::State& state) { measure(state, true); }
void transformer_trace_and_compile_in_half_the_memory(benchmark::State& state) {
  measure(state, true, 0.5);
}

BENCHMARK(transformer_trace)->Unit(benchmark::kMillisecond);
BENCHMARK(transformer_trace_and_compile)->Unit(benchmark::kMillisecond);
BENCHMARK(transformer_trace_and_compile_in_half_the_memory)->Unit(benchmark::kMillisecond);

}  // namespace
