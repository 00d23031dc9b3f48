// Trains the tagger on sequences made on the way: sequence_tagger [--steps=N] [--seed=N]
#include <CLI/CLI.hpp>
#include <cstdio>

#include "examples/sequence_tagger/tagger.h"
#include "linnet/jit.h"

int main(int argc, char** argv) {
  using namespace linnet;
  using Model = tagger::StatefulTagger<nnx::OptimizedLSTMCell>;
  int64_t steps = 300, seed = 0;
  CLI::App app("Trains a bidirectional LSTM to find the letters between brackets.",
               "sequence_tagger");
  app.add_option("--steps", steps, "training steps")->check(CLI::Range(1, 1000000));
  app.add_option("--seed", seed, "of parameters and data");
  CLI11_PARSE(app, argc, argv);

  try {
    nnx::Rngs rngs(seed);
    Model model(rngs);
    optim::Optimizer optimizer(model, optim::adam(0.01));
    const auto step = jit(tagger::stateful_step<nnx::OptimizedLSTMCell>);
    const Key data(seed + 1);
    for (int64_t i = 0; i < steps; ++i) {
      const auto batch =
          tagger::make_batch(random::fold_in(data, static_cast<uint32_t>(i)), 64, 32);
      const Tensor loss = step(model, optimizer, batch);
      if ((i + 1) % 50 == 0) {
        std::printf("step %4lld  loss %.4f\n", static_cast<long long>(i + 1), loss.item<double>());
      }
    }
    const tagger::Batch test = tagger::make_batch(Key(seed + 2), 1000, 32);
    const Tensor right = tagger::accuracy_of(model(test.tokens, test.lengths), test);
    std::printf("right on new sequences: %.1f %% of the tokens\n", 100 * right.item<double>());
    return steps < 300 || right.item<double>() > 0.95 ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "sequence_tagger: %s\n", error.what());
    return 1;
  }
}
