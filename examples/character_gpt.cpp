// A character GPT. It learns the paragraph below by heart and then writes on from a prompt, one
// character at a time, with the keys and values of all earlier characters in a cache.
//
//   character_gpt [steps]
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/linnet.h"
#include "linnet/nnx_tools.h"

using namespace linnet;

// Lewis Carroll, Alice's Adventures in Wonderland (1865).
constexpr std::string_view kText =
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having "
    "nothing to do: once or twice she had peeped into the book her sister was reading, but it had "
    "no pictures or conversations in it, and what is the use of a book, thought Alice, without "
    "pictures or conversations? So she was considering in her own mind (as well as she could, for "
    "the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy "
    "chain would be worth the trouble of getting up and picking the daisies, when suddenly a White "
    "Rabbit with pink eyes ran close by her.";

constexpr int64_t kCharacters = 128;  // ASCII: a character is its own token
constexpr int64_t kLength = 64, kWidth = 64, kHeads = 4, kBlocks = 2, kBatch = 16;

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

  // Not const: a decoding attention writes its cache.
  Tensor operator()(const Tensor& x) {
    const Tensor h = x + attention(attention_norm(x));
    return h + down(gelu(up(mlp_norm(h))));
  }
};

struct Gpt {
  nnx::Embed characters, positions;
  std::vector<Block> blocks;
  nnx::LayerNorm norm;
  nnx::Linear head;

  explicit Gpt(nnx::Rngs& rngs)
      : characters(kCharacters, kWidth, rngs),
        positions(kLength, kWidth, rngs),
        norm(kWidth, rngs),
        head(kWidth, kCharacters, rngs) {
    for (int64_t i = 0; i < kBlocks; ++i) blocks.emplace_back(rngs);
  }
  LINNET_FIELDS(characters, positions, blocks, norm, head)

  /// tokens: i32 [batch, length], at `position` i32 [length] -> logits [batch, length, characters].
  Tensor operator()(const Tensor& tokens, const Tensor& position) {
    Tensor x = characters(tokens) + positions(position);
    for (Block& block : blocks) x = block(x);
    return head(norm(x));
  }
};

Tensor encode(std::string_view text) {
  return tensor(std::vector<int32_t>(text.begin(), text.end()));
}
std::string decode(const Tensor& tokens) {
  const std::vector<int32_t> codes = tokens.to_vector<int32_t>();
  return std::string(codes.begin(), codes.end());
}

/// One step of training on windows at random places of `text`; gives the loss.
Tensor train(Gpt& model, optim::Optimizer& optimizer, const Tensor& text, const Key& key) {
  const Tensor start = random::randint(key, {kBatch, 1}, 0, text.size() - kLength);
  const Tensor window = take(text, start + arange(kLength + 1));
  const auto [loss, gradients] = nnx::value_and_grad(
      [&](Gpt& m) {
        return cross_entropy(m(slice_axis(window, 0, kLength, 1), arange(kLength)),
                             slice_axis(window, 1, kLength + 1, 1));
      },
      model);
  optimizer.update(model, gradients);
  return loss;
}

/// What was written, and the logits from which each character was drawn.
struct Written {
  Tensor text;    ///< i32 [length + 1], beginning with the prompt
  Tensor logits;  ///< f32 [length, characters]
};

/// The whole loop is one program: a `scan` whose turns read one character and give the next, which
/// is the prompt's as long as that lasts. The caches in `decoder` are carried from turn to turn.
Written generate(Gpt& decoder, const Tensor& prompt, const Key& key) {
  const Tensor known = pad(prompt, {{0, kLength + 1 - prompt.size()}}, -1);
  const auto turn = [&](const Tensor& token, const std::tuple<Tensor, Tensor, Key>& x) {
    const auto& [position, next_known, turn_key] = x;
    const Tensor logits = decoder(token.reshape(1, 1), position.reshape(1)).reshape(kCharacters);
    constexpr double kTemperature = 0.5;
    const Tensor drawn = random::categorical(turn_key, logits / kTemperature);
    const Tensor next = where(next_known >= 0, next_known, drawn);
    return std::pair(next, std::pair(next, logits));
  };
  const Tensor next_known = slice_axis(known, 1, kLength + 1, 0);
  const auto [text, logits] =
      scan(turn, known[0], std::tuple(arange(kLength), next_known, random::split(key, kLength)))
          .second;
  return {concatenate({known[0].reshape(1), text}), logits};
}

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 400;
  nnx::Rngs rngs(0);
  Gpt model(rngs);
  optim::Optimizer optimizer(
      model, optim::adamw(optim::warmup_cosine_decay_schedule(0, 3e-3, steps / 10, steps)));

  const Tensor text = encode(kText);
  const auto step = jit(train);
  double loss = 0;
  for (int i = 1; i <= steps; ++i) {
    loss = step(model, optimizer, text, random::fold_in(Key(1), i)).item<double>();
    if (i % 50 == 0) std::printf("step %4d  loss %.3f\n", i, loss);
  }

  // The same variables, with caches beside them.
  Gpt decoder = nnx::view(model, {{"decode", true}, {"batch_size", 1}, {"max_length", kLength}});
  const Written written = jit(generate)(decoder, encode("Alice was "), Key(2));
  std::printf("wrote: %s\n", decode(written.text).c_str());

  // Reading everything at once must give the logits that the cache gave one by one.
  const Tensor read = slice_axis(written.text, 0, kLength, 0).reshape(1, kLength);
  const Tensor difference = max(abs(model(read, arange(kLength))[0] - written.logits));
  std::printf("largest difference from reading without a cache: %.1e\n", difference.item<double>());
  return difference.item<double>() < 1e-3 && (steps < 400 || loss < 0.3) ? 0 : 1;
}
