// Transformers, as functions of a tree of parameters: training steps, one block, decoding.
#include "benchmarks/peers/linnet/side.h"

namespace peers {
namespace {

struct Block {
  Tensor g1, b1, wqkv, bqkv, wo, bo, g2, b2, w1, c1, w2, c2;
  LINNET_FIELDS(g1, b1, wqkv, bqkv, wo, bo, g2, b2, w1, c1, w2, c2)
};
struct Gpt {
  Tensor wte, wpe;  ///< of tokens, also the head; of positions
  std::vector<Block> blocks;
  Tensor g, b;
  LINNET_FIELDS(wte, wpe, blocks, g, b)
};
struct Tokens {
  Tensor x, y;
  LINNET_FIELDS(x, y)
};

/// Takes its seeds from `seed` on.
Block make_block(int64_t c, int64_t layers, uint64_t& seed) {
  const double wide = 0.035, narrow = wide / std::sqrt(2.0 * static_cast<double>(layers));
  Block out{.g1 = filled({c}, 1),
            .b1 = filled({c}, 0),
            .wqkv = uniform(seed, {c, 3 * c}, wide),
            .bqkv = filled({3 * c}, 0),
            .wo = uniform(seed + 1, {c, c}, narrow),
            .bo = filled({c}, 0),
            .g2 = filled({c}, 1),
            .b2 = filled({c}, 0),
            .w1 = uniform(seed + 2, {c, 4 * c}, wide),
            .c1 = filled({4 * c}, 0),
            .w2 = uniform(seed + 3, {4 * c, c}, narrow),
            .c2 = filled({c}, 0)};
  seed += 4;
  return out;
}

Gpt make_gpt(int64_t vocabulary, int64_t context, int64_t c, int64_t layers) {
  Gpt out{.wte = uniform(1000, {vocabulary, c}, 0.035),
          .wpe = uniform(1001, {context, c}, 0.035),
          .blocks = {},
          .g = filled({c}, 1),
          .b = filled({c}, 0)};
  uint64_t seed = 1002;
  for (int64_t i = 0; i < layers; ++i) out.blocks.push_back(make_block(c, layers, seed));
  return out;
}

Tensor norm(const Tensor& x, const Tensor& scale, const Tensor& bias) {
  return layer_norm(x, scale, bias, 1e-5);
}

/// With bf16 as torch.autocast on the CPU: products and what lies between them in bf16, norms and
/// the residual in f32.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              DType dtype = DType::kF32) {
  return matmul(x.astype(dtype), weight.astype(dtype)) + bias.astype(dtype);
}

Tensor mlp(const Block& p, const Tensor& x, DType dtype = DType::kF32) {
  return linear(gelu(linear(norm(x, p.g2, p.b2), p.w1, p.c1, dtype)), p.w2, p.c2, dtype);
}

Tensor apply_block(const Block& p, const Tensor& x, int64_t heads, DType dtype = DType::kF32) {
  const int64_t n = x.shape(0), t = x.shape(1), c = x.shape(2);
  const TensorList parts = split(linear(norm(x, p.g1, p.b1), p.wqkv, p.bqkv, dtype), 3, -1);
  const auto by_head = [&](const Tensor& v) { return reshape(v, {n, t, heads, c / heads}); };
  const Tensor y = dot_product_attention(by_head(parts[0]), by_head(parts[1]), by_head(parts[2]),
                                         {}, {}, {.causal = true});
  const Tensor h = x + linear(reshape(y, {n, t, c}), p.wo, p.bo, dtype);
  return h + mlp(p, h, dtype);
}

Tensor logits_of(const Gpt& m, const Tensor& x) {
  return matmul(norm(x, m.g, m.b), m.wte.transpose());
}

struct Sizes {
  int64_t context, c, heads, layers, batch;
  int gate;
};
constexpr int64_t kVocabulary = 65;

Work train(const Sizes& s) {
  struct All {
    Gpt model;
    optim::TransformState memory;
    Tokens data;
  };
  const auto tx = optim::adamw(1e-3, {.weight_decay = 1e-2});
  const Gpt model = make_gpt(kVocabulary, s.context, s.c, s.layers);
  const Shape shape{s.batch, s.context};
  const auto all = std::make_shared<All>(
      model, tx.init(model), Tokens{tokens(shape, kVocabulary), tokens(shape, kVocabulary, 1)});
  const auto step =
      jit([tx, heads = s.heads](Gpt& m, optim::TransformState& state, const Tokens& data) {
        const auto [loss, gradients] = value_and_grad([&](const Gpt& g) {
          Tensor x = take(g.wte, data.x) + slice_axis(g.wpe, 0, data.x.shape(1), 0);
          for (const Block& block : g.blocks) x = apply_block(block, x, heads);
          return cross_entropy(logits_of(g, x), data.y);
        })(m);
        optim::step(tx, m, gradients, state);
        return loss;
      });
  return training([all, step] { return step(all->model, all->memory, all->data); }, s.gate);
}

/// Forward and backward of one block of GPT-2 at 1024 positions; the check is the loss and the size
/// of two gradients.
Work one_block(DType dtype) {
  uint64_t seed = 2000;
  const Block p = make_block(768, 1, seed);
  const Tensor x = uniform(2099, {1, 1024, 768}, 1);
  const auto step = jit([dtype](const Block& params, const Tensor& in) {
    return value_and_grad<0, 1>([dtype](const Block& q, const Tensor& v) {
      return mean(square(apply_block(q, v, 12, dtype)));
    })(params, in);
  });
  const auto check = [](const auto& result) {
    const auto& [loss, gradients] = result;
    const auto& [of_params, of_x] = gradients;
    return loss.template item<double>() + 768e3 * mean_abs(of_params.wqkv) + 1e3 * mean_abs(of_x);
  };
  return training([step, p, x] { return step(p, x); }, 1, check,
                  [](const auto& result) { keep(result.first); });
}

// Greedy decoding with a cache, 128 tokens in all.
constexpr int64_t kWidth = 384, kHeads = 6, kLayers = 6, kContext = 256, kTokens = 128;

struct Cache {
  std::vector<Tensor> k, v;  ///< [1, context, heads, dim] of each layer
  LINNET_FIELDS(k, v)
};

Cache empty_cache() {
  Cache out;
  for (int64_t i = 0; i < kLayers; ++i) {
    out.k.push_back(filled({1, kContext, kHeads, kWidth / kHeads}, 0));
    out.v.push_back(filled({1, kContext, kHeads, kWidth / kHeads}, 0));
  }
  return out;
}

/// The token after `token` i32[1], which stands at `position` i32[].
Tensor next_token(const Gpt& m, Cache& cache, const Tensor& token, const Tensor& position) {
  Tensor x = take(m.wte, token) + dynamic_slice(m.wpe, {position, 0}, {1, kWidth});
  const Tensor mask = reshape(iota(DType::kI32, {kContext}) <= position, {1, 1, 1, kContext});
  const auto by_head = [](const Tensor& v) { return reshape(v, {1, 1, kHeads, kWidth / kHeads}); };
  for (size_t i = 0; i < m.blocks.size(); ++i) {
    const Block& p = m.blocks[i];
    const TensorList parts = split(linear(norm(x, p.g1, p.b1), p.wqkv, p.bqkv), 3, -1);
    cache.k[i] = dynamic_update_slice(cache.k[i], by_head(parts[1]), {0, position, 0, 0});
    cache.v[i] = dynamic_update_slice(cache.v[i], by_head(parts[2]), {0, position, 0, 0});
    const Tensor y = dot_product_attention(by_head(parts[0]), cache.k[i], cache.v[i], {}, mask);
    x = x + linear(reshape(y, {1, kWidth}), p.wo, p.bo);
    x = x + mlp(p, x);
  }
  return argmax(logits_of(m, x), -1);
}

/// Scaled so that the tokens vary.
Gpt decoder() {
  Gpt out = make_gpt(kVocabulary, kContext, kWidth, kLayers);
  for (Block& block : out.blocks) {
    block.wo = block.wo * 8;
    block.w2 = block.w2 * 8;
  }
  out.wpe = out.wpe * 40;
  return out;
}

/// One call a token, read before the next. The check weighs each token by its position.
Work decode_by_call(bool compiled) {
  const auto model = std::make_shared<Gpt>(decoder());
  const auto step = jit(next_token);
  const auto generate = [model, step, compiled] {
    Cache cache = empty_cache();
    Tensor token = from_vector(std::vector<int32_t>{1}, {1});
    int64_t sum = 0;
    for (int64_t i = 0; i < kTokens; ++i) {
      const Tensor position = scalar_integer(i, DType::kI32);
      token = compiled ? step(*model, cache, token, position)
                       : next_token(*model, cache, token, position);
      sum += token.item<int64_t>() * (i + 1);
    }
    return sum;
  };
  return training(
      generate, 1, [](int64_t sum) { return static_cast<double>(sum); }, [](int64_t) {});
}

/// The whole loop in one call.
Work decode_by_scan() {
  const auto generate = jit([](const Gpt& model) {
    const auto turn = [&](const std::pair<Cache, Tensor>& carry, const Tensor& position) {
      auto [cache, token] = carry;
      const Tensor next = next_token(model, cache, token, position);
      return std::pair(std::pair(cache, next), next);
    };
    const std::pair start(empty_cache(), full({1}, 1, DType::kI32));
    const Tensor positions = iota(DType::kI32, {kTokens});
    const Tensor all = reshape(scan(turn, start, positions).second, {kTokens});
    return sum(all * (positions + 1));
  });
  return repeat([generate, model = decoder()] { return generate(model); },
                [](const Tensor& sum) { return sum.item<double>(); });
}

}  // namespace

void add_gpt(Cases& cases) {
  cases.add("gpt_small", "nanogpt", "jit", [] { return train({64, 128, 4, 4, 12, 5}); });
  cases.add("gpt_large", "gpt384", "jit", [] { return train({256, 384, 6, 6, 8, 2}); });
  cases.add("block", "gpt2_block", "jit", [] { return one_block(DType::kF32); });
  cases.add("block", "gpt2_block_bf16", "jit", [] { return one_block(DType::kBF16); });
  cases.add("decode", "decode384_128tok", "jit", [] { return decode_by_call(true); });
  cases.add("decode", "decode384_128tok", "scan", decode_by_scan);
  cases.add("decode", "decode384_128tok", "eager", [] { return decode_by_call(false); });
}

}  // namespace peers
