// Bidirectional taggers and a language model with scanned, recomputed blocks, against the real
// Flax: from seeds alone, through initialisation, evaluation, training and 50 steps
// (reference/cases/composed_models.py).
#include "linnet/linnet.h"
#include "tests/models/model_golden.h"

namespace linnet::sequence_models_test {
namespace {

using linen::Scope;
using testing::check_functional;
using testing::check_object;
using testing::GoldenFile;
using testing::ModelTask;
using testing::object_model;

GoldenFile golden() { return GoldenFile("composed_models"); }

ModelTask sequences(int64_t length, int64_t words, int64_t classes) {
  const Shape shape{4, 8, length};
  return {random::randint(Key(100), shape, 0, words), random::randint(Key(101), shape, 0, classes),
          [](const Tensor& logits, const Tensor& labels) { return cross_entropy(logits, labels); },
          optim::adam(1e-2)};
}

template <class Cell>
linen::Bidirectional<linen::RNN<Cell>, linen::RNN<Cell>> functional_rnn() {
  const linen::RNN<Cell> rnn{Cell{.features = 10}};
  return {rnn, rnn};
}

template <class Cell>
using ObjectRnn = nnx::Bidirectional<nnx::RNN<Cell>, nnx::RNN<Cell>>;
template <class Cell>
ObjectRnn<Cell> object_rnn(nnx::Rngs& rngs) {
  return ObjectRnn<Cell>{nnx::RNN<Cell>(Cell(8, 10, rngs)), nnx::RNN<Cell>(Cell(8, 10, rngs))};
}

template <class Cell>
struct Tagger {
  Tensor operator()(Scope& s, const Tensor& tokens, bool train) const {
    Tensor x = s("embed", linen::Embed{12, 8}, tokens);
    x = s(linen::Dropout{.rate = 0.2}, x, !train);
    return s("head", linen::Dense{.features = 3}, s("rnn", functional_rnn<Cell>(), x));
  }
};

template <class Cell>
struct ObjectTagger {
  nnx::Embed embed;
  nnx::Dropout dropout;
  ObjectRnn<Cell> rnn;
  nnx::Linear head;
  explicit ObjectTagger(nnx::Rngs& rngs)
      : embed(12, 8, rngs), dropout(0.2, rngs), rnn(object_rnn<Cell>(rngs)), head(20, 3, rngs) {}
  LINNET_FIELDS(embed, dropout, rnn, head)
  Tensor operator()(const Tensor& tokens, bool train) {
    return head(rnn(dropout(embed(tokens), !train)));
  }
};

template <class Cell>
struct MixedTagger {
  Tensor operator()(Scope& s, const Tensor& tokens, bool) const {
    const bridge::ToLinen<ObjectRnn<Cell>> rnn(object_rnn<Cell>);
    const Tensor x = s("embed", linen::Embed{12, 8}, tokens);
    return s("head", linen::Dense{.features = 3}, s("rnn", rnn, x));
  }
};

template <class Cell>
struct MixedObjectTagger {
  nnx::Embed embed;
  bridge::ToNNX<decltype(functional_rnn<Cell>())> rnn;
  nnx::Linear head;
  explicit MixedObjectTagger(nnx::Rngs& rngs)
      : embed(12, 8, rngs), rnn(functional_rnn<Cell>(), rngs), head(20, 3, rngs) {}
  LINNET_FIELDS(embed, rnn, head)
  Tensor operator()(const Tensor& tokens, bool) { return head(rnn(embed(tokens))); }
};

TEST(ReferenceModels, L_155_N_140_BidirectionalTaggers) {
  const GoldenFile file = golden();
  ModelTask task = sequences(6, 12, 3);
  task.initial = {2e-6};  // recurrent kernels are orthogonalised
  check_functional(file, "lstm/linen", task, Tagger<linen::OptimizedLSTMCell>{});
  check_functional(file, "lstm/linen_mixed", task, MixedTagger<nnx::OptimizedLSTMCell>{});
  check_functional(file, "gru/linen", task, Tagger<linen::GRUCell>{});
  check_functional(file, "gru/linen_mixed", task, MixedTagger<nnx::GRUCell>{});
  const auto object = [&]<class M>(const char* name, std::type_identity<M>) {
    check_object(file, name, task, [&] { return object_model<M>(task.x[0]); });
  };
  object("lstm/nnx", std::type_identity<ObjectTagger<nnx::OptimizedLSTMCell>>{});
  object("lstm/nnx_mixed", std::type_identity<MixedObjectTagger<linen::OptimizedLSTMCell>>{});
  object("gru/nnx", std::type_identity<ObjectTagger<nnx::GRUCell>>{});
  object("gru/nnx_mixed", std::type_identity<MixedObjectTagger<linen::GRUCell>>{});
}

struct GptBlock {
  bool train;
  LINNET_FIELDS(train)
  std::pair<Tensor, std::tuple<>> operator()(Scope& s, const Tensor& x) const {
    Tensor h = s("norm1", linen::LayerNorm{}, x);
    h = x + s("attention", linen::SelfAttention{.heads = 2, .causal = true}, h);
    Tensor y = s("norm2", linen::LayerNorm{}, h);
    y = gelu(s("up", linen::Dense{.features = 32}, y));
    y = s("down", linen::Dense{.features = 16}, y);
    return {h + s("dropout", linen::Dropout{.rate = 0.1}, y, !train), {}};
  }
};

struct ObjectFeedForward {
  nnx::Linear up, down;
  nnx::Dropout dropout;
  explicit ObjectFeedForward(nnx::Rngs& rngs)
      : up(16, 32, rngs), down(32, 16, rngs), dropout(0.1, rngs) {}
  LINNET_FIELDS(up, down, dropout)
  Tensor operator()(const Tensor& x, bool train) { return dropout(down(gelu(up(x))), !train); }
};

/// With an object inside.
struct MixedGptBlock {
  bool train;
  LINNET_FIELDS(train)
  std::pair<Tensor, std::tuple<>> operator()(Scope& s, const Tensor& x) const {
    Tensor h = s("norm1", linen::LayerNorm{}, x);
    h = x + s("attention", linen::SelfAttention{.heads = 2, .causal = true}, h);
    const Tensor y = s("norm2", linen::LayerNorm{}, h);
    return {h + s("mlp", bridge::to_linen<ObjectFeedForward>(), y, train), {}};
  }
};

template <class Block>
auto scanned(const Block& block) {
  return linen::scan(linen::remat(block), {.variable_axes = {{"params", 0}},
                                           .split_rngs = {{"params", true}, {"dropout", true}},
                                           .length = 4});
}

template <class Block>
struct Gpt {
  Tensor operator()(Scope& s, const Tensor& tokens, bool train) const {
    const linen::Embed embed{.num_embeddings = 24, .features = 16};
    Scope table = s.child("embed");
    Tensor x = Scope::call(table, embed, tokens);
    x = x + s.param("position", init::normal(0.02), {8, 16});
    x = s("norm", linen::LayerNorm{}, s("layers", scanned(Block{train}), x).first);
    return Scope::call(
        table, [&](Scope& t, const Tensor& query) { return embed.attend(t, query); }, x);
  }
};

/// The scanned blocks as a module of their own.
struct GptLayers {
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    return s("layers", scanned(GptBlock{train}), x).first;
  }
};

struct ObjectGptBlock {
  nnx::LayerNorm norm1;
  nnx::MultiHeadAttention attention;
  nnx::LayerNorm norm2;
  nnx::Linear up, down;
  nnx::Dropout dropout;
  explicit ObjectGptBlock(nnx::Rngs& rngs)
      : norm1(16, rngs),
        attention(2, 16, {.causal = true}, rngs),
        norm2(16, rngs),
        up(16, 32, rngs),
        down(32, 16, rngs),
        dropout(0.1, rngs) {}
  LINNET_FIELDS(norm1, attention, norm2, up, down, dropout)
  Tensor operator()(const Tensor& x, bool train) {
    const Tensor h = x + attention(norm1(x));
    return h + dropout(down(gelu(up(norm2(h)))), !train);
  }
};

struct ObjectGpt {
  nnx::Embed embed;
  nnx::Param position;
  ObjectGptBlock blocks;
  nnx::LayerNorm norm;
  explicit ObjectGpt(nnx::Rngs& rngs)
      : embed(24, 16, rngs),
        position(0.02f * random::normal(rngs.params(), {8, 16})),
        blocks(nnx::split_rngs(
            {.splits = 4}, nnx::vmap([](nnx::Rngs& each) { return ObjectGptBlock(each); }))(rngs)),
        norm(16, rngs) {}
  LINNET_FIELDS(embed, position, blocks, norm)
  Tensor operator()(const Tensor& tokens, bool train) {
    const auto block =
        nnx::remat([train](const Tensor& h, ObjectGptBlock& layer) { return layer(h, train); });
    const auto layers = nnx::scan(block, {.in_axes = {nnx::kCarry, 0}, .out_axes = {nnx::kCarry}});
    const Tensor x = embed(tokens) + position.value();
    return embed.attend(norm(layers(x, blocks)));
  }
};

/// An object round functional blocks, scanned and recomputed.
struct MixedObjectGpt {
  nnx::Embed embed;
  nnx::Param position;
  bridge::ToNNX<GptLayers> blocks;
  nnx::LayerNorm norm;
  explicit MixedObjectGpt(nnx::Rngs& rngs)
      : embed(24, 16, rngs),
        position(0.02f * random::normal(rngs.params(), {8, 16})),
        blocks(GptLayers{}, rngs),
        norm(16, rngs) {}
  LINNET_FIELDS(embed, position, blocks, norm)
  Tensor operator()(const Tensor& tokens, bool train) {
    const Tensor x = embed(tokens) + position.value();
    return embed.attend(norm(blocks(x, train)));
  }
};

TEST(ReferenceModels, L_080_L_085_N_162_ScannedLanguageModel) {
  const GoldenFile file = golden();
  const ModelTask task = sequences(8, 24, 24);
  check_functional(file, "gpt/linen", task, Gpt<GptBlock>{});
  check_functional(file, "gpt/linen_mixed", task, Gpt<MixedGptBlock>{});
  check_object(file, "gpt/nnx", task, [&] { return object_model<ObjectGpt>(task.x[0]); });
  check_object(file, "gpt/nnx_mixed", task,
               [&] { return object_model<MixedObjectGpt>(task.x[0]); });
}

}  // namespace
}  // namespace linnet::sequence_models_test
