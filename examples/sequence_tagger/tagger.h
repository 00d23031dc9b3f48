// A recurrent tagger: which tokens of a sequence stand between an opening bracket and the closing
// one that follows it. A token's tag depends on both sides, so the network reads in both
// directions; sequences have different lengths.
//
// tokens: i32 [batch, time]
//   embed  12 -> 16                   [batch, time, 16]
//   rnn    32 in each direction       [batch, time, 64]
//   head   64 -> 2                    [batch, time, 2]
#pragma once

#include <utility>

#include "linnet/linnet.h"

namespace tagger {

namespace linen = linnet::linen;
namespace nnx = linnet::nnx;
namespace optim = linnet::optim;
using linnet::Tensor;

inline constexpr int64_t kVocabulary = 12;  ///< 0 opens, 1 closes, the others are letters
inline constexpr int64_t kEmbedding = 16, kHidden = 32;

/// Sequences with the tag of each token; what is behind `lengths` is padding.
struct Batch {
  Tensor tokens, tags;  ///< i32 [batch, time]
  Tensor lengths;       ///< i32 [batch]
  LINNET_FIELDS(tokens, tags, lengths)
};

/// Random tokens in sequences of time / 2 to time.
inline Batch make_batch(const linnet::Key& key, int64_t count, int64_t time) {
  const linnet::Key keys = linnet::random::split(key);
  const Tensor lengths = linnet::random::randint(keys[0], {count}, time / 2, time + 1);
  const Tensor position = linnet::arange(time);
  const Tensor inside = position < expand_dims(lengths, 1);
  const Tensor tokens =
      where(inside, linnet::random::randint(keys[1], {count, time}, 0, kVocabulary), 2);
  // The nearest bracket up to each token, and the nearest from it on; a letter at either end if
  // there is none.
  const Tensor bracket = tokens < 2;
  const Tensor before = cummax(where(bracket, position, -1), 1);
  const Tensor after = (time - 1) - cummax(where(bracket, (time - 1) - position, -1), 1, true);
  const auto token_at = [&](const Tensor& at) {
    const Tensor exists = at >= 0 && at < time;
    return where(exists, take_along_axis(tokens, clip(at, 0, time - 1), 1), 2);
  };
  const Tensor between = token_at(before) == 0 && token_at(after) == 1 && !bracket;
  return {tokens, between.astype(linnet::DType::kI32), lengths};
}

/// Of a token: 1 within its sequence, 0 in the padding.
inline Tensor weights_of(const Batch& batch) {
  return (linnet::arange(batch.tokens.shape(1)) < expand_dims(batch.lengths, 1))
      .astype(linnet::DType::kF32);
}

/// Mean cross entropy of the tokens.
inline Tensor loss_of(const Tensor& logits, const Batch& batch) {
  const Tensor weights = weights_of(batch);
  return sum(softmax_cross_entropy_with_integer_labels(logits, batch.tags) * weights) /
         sum(weights);
}

/// Share of the tokens whose tag is right.
inline Tensor accuracy_of(const Tensor& logits, const Batch& batch) {
  const Tensor weights = weights_of(batch);
  return sum((argmax(logits, -1) == batch.tags).astype(linnet::DType::kF32) * weights) /
         sum(weights);
}

/// Functional, with any cell.
template <class Cell>
struct Tagger {
  Tensor operator()(linen::Scope& s, const Tensor& tokens, const Tensor& lengths) const {
    const linen::RNN rnn{Cell{.features = kHidden}};
    const linen::Bidirectional both{rnn, rnn};
    const Tensor x = s("embed", linen::Embed{kVocabulary, kEmbedding}, tokens);
    const Tensor h = s("rnn", both, x, typename decltype(both)::Call{.seq_lengths = lengths});
    return s("head", linen::Dense{.features = 2}, h);
  }
};

/// The same as an object.
template <class Cell>
struct StatefulTagger {
  nnx::Embed embed;
  nnx::Bidirectional<nnx::RNN<Cell>, nnx::RNN<Cell>> rnn;
  nnx::Linear head;

  explicit StatefulTagger(nnx::Rngs& rngs)
      : embed(kVocabulary, kEmbedding, rngs),
        rnn{nnx::RNN<Cell>(Cell(kEmbedding, kHidden, rngs)),
            nnx::RNN<Cell>(Cell(kEmbedding, kHidden, rngs))},
        head(2 * kHidden, 2, rngs) {}
  LINNET_FIELDS(embed, rnn, head)

  Tensor operator()(const Tensor& tokens, const Tensor& lengths) {
    return head(rnn(embed(tokens), {.seq_lengths = lengths}));
  }
};

/// One training step of the functional tagger on the collection `params`; gives the loss.
template <class Cell>
Tensor functional_step(linen::Variables& params, optim::TransformState& state,
                       const optim::GradientTransformation& tx, const Batch& batch) {
  const auto [loss, gradients] = linnet::value_and_grad([&](const linen::Variables& p) {
    const linen::Variables all{{"params", p}};
    return loss_of(linen::apply(Tagger<Cell>{}, all, batch.tokens, batch.lengths), batch);
  })(params);
  optim::step(tx, params, gradients, state);
  return loss;
}

/// One training step of the stateful tagger; gives the loss.
template <class Cell>
Tensor stateful_step(StatefulTagger<Cell>& model, optim::Optimizer& optimizer, const Batch& batch) {
  const auto [loss, gradients] = nnx::value_and_grad(
      [&](StatefulTagger<Cell>& m) { return loss_of(m(batch.tokens, batch.lengths), batch); },
      model);
  optimizer.update(model, gradients);
  return loss;
}

}  // namespace tagger
