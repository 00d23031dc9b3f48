// Training steps of common networks, and one step of generating text, traced for types alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "linnet/linnet.h"
#include "linnet/program_cost.h"

namespace workload {

using namespace linnet;

/// What a step of training keeps and replaces.
template <class Network>
struct Trained {
  Network network;
  optim::Optimizer optimizer;
  Trained(Network net, optim::GradientTransformation tx)
      : network(std::move(net)), optimizer(network, std::move(tx)) {}
  LINNET_FIELDS(network, optimizer)
};

/// Cost of one step that trains `make(rngs)` on inputs and labels of these types. The loss is the
/// mean cross-entropy.
template <class Make>
ProgramCost cost_of_training(const Make& make, const optim::GradientTransformation& tx,
                             const Tensor& x, const Tensor& labels) {
  using Network = decltype(make(std::declval<nnx::Rngs&>()));
  nnx::Rngs rngs(0);
  auto trained = nnx::eval_shape([&](nnx::Rngs& r) { return Trained<Network>(make(r), tx); }, rngs);
  const auto step = jit([](Trained<Network>& t, const Tensor& input, const Tensor& label) {
    auto [loss, gradients] = nnx::value_and_grad(
        [&](Network& net) { return cross_entropy(net(input), label); }, t.network);
    t.optimizer.update(t.network, gradients);
    return loss;
  });
  return step.lower(trained, x, labels).cost();
}

inline Tensor of_type(DType dtype, Shape shape) {
  return abstract({dtype, std::move(shape), false, default_device()});
}

struct Mlp {
  nnx::Linear first, second, third;
  explicit Mlp(nnx::Rngs& rngs)
      : first(784, 256, rngs), second(256, 128, rngs), third(128, 10, rngs) {}
  Tensor operator()(const Tensor& x) { return third(relu(second(relu(first(x))))); }
  LINNET_FIELDS(first, second, third)
};

/// The demo's network (examples/fashion_mnist) in one module API.
struct SmallCnn {
  nnx::Conv conv1, conv2;
  nnx::BatchNorm norm1, norm2;
  nnx::Linear dense;
  nnx::Dropout dropout;
  nnx::Linear head;
  explicit SmallCnn(nnx::Rngs& rngs)
      : conv1(1, 32, {3, 3}, {.use_bias = false}, rngs),
        conv2(32, 64, {3, 3}, {.use_bias = false}, rngs),
        norm1(32, {.momentum = 0.9}, rngs),
        norm2(64, {.momentum = 0.9}, rngs),
        dense(3136, 128, rngs),
        dropout(0.4, rngs),
        head(128, 10, rngs) {}
  Tensor operator()(const Tensor& x) {
    Tensor h = relu(norm1(linen::max_pool(conv1(x), {2, 2}, {2, 2})));
    h = relu(norm2(linen::max_pool(conv2(h), {2, 2}, {2, 2})));
    return head(dropout(relu(dense(reshape(h, {h.shape(0), -1})))));
  }
  LINNET_FIELDS(conv1, conv2, norm1, norm2, dense, dropout, head)
};

/// Residual networks, version 1.5: He et al., "Deep residual learning", 2015, with the stride in
/// the 3x3 convolutions. Computes in `dtype`; parameters are f32.
struct Bottleneck {
  nnx::Conv reduce, spatial, expand;
  nnx::BatchNorm norm1, norm2, norm3;
  std::optional<nnx::Conv> project;
  std::optional<nnx::BatchNorm> project_norm;

  Bottleneck(int64_t in, int64_t width, int64_t stride, DType dtype, nnx::Rngs& rngs)
      : reduce(in, width, {1, 1}, {.use_bias = false, .dtype = dtype}, rngs),
        spatial(width, width, {3, 3},
                {.strides = {stride, stride}, .use_bias = false, .dtype = dtype}, rngs),
        expand(width, 4 * width, {1, 1}, {.use_bias = false, .dtype = dtype}, rngs),
        norm1(width, {.momentum = 0.9, .dtype = dtype}, rngs),
        norm2(width, {.momentum = 0.9, .dtype = dtype}, rngs),
        norm3(4 * width, {.momentum = 0.9, .dtype = dtype}, rngs) {
    if (stride == 1 && in == 4 * width) return;
    project.emplace(
        in, 4 * width, nnx::PerDimension{1, 1},
        nnx::ConvOptions{.strides = {stride, stride}, .use_bias = false, .dtype = dtype}, rngs);
    project_norm.emplace(4 * width, nnx::BatchNormOptions{.momentum = 0.9, .dtype = dtype}, rngs);
  }
  Tensor operator()(const Tensor& x) {
    Tensor y = relu(norm1(reduce(x)));
    y = norm3(expand(relu(norm2(spatial(y)))));
    return relu(y + (project ? (*project_norm)((*project)(x)) : x));
  }
  LINNET_FIELDS(reduce, spatial, expand, norm1, norm2, norm3, project, project_norm)
};

struct ResNet {
  nnx::Conv stem;
  nnx::BatchNorm norm;
  std::vector<Bottleneck> blocks;
  nnx::Linear head;

  ResNet(const std::vector<int64_t>& depths, int64_t width, int64_t classes, DType dtype,
         nnx::Rngs& rngs)
      : stem(3, width, {7, 7}, {.strides = {2, 2}, .use_bias = false, .dtype = dtype}, rngs),
        norm(width, {.momentum = 0.9, .dtype = dtype}, rngs),
        head(4 * (width << (depths.size() - 1)), classes, {.dtype = dtype}, rngs) {
    int64_t in = width;
    for (size_t stage = 0; stage < depths.size(); ++stage) {
      for (int64_t i = 0; i < depths[stage]; ++i) {
        const int64_t each = width << stage;
        blocks.emplace_back(in, each, i == 0 && stage > 0 ? 2 : 1, dtype, rngs);
        in = 4 * each;
      }
    }
  }
  Tensor operator()(const Tensor& image) {
    Tensor x = linen::max_pool(relu(norm(stem(image))), {3, 3}, {2, 2}, "SAME");
    for (Bottleneck& block : blocks) x = block(x);
    return head(mean(x, {1, 2}));
  }
  LINNET_FIELDS(stem, norm, blocks, head)
};

/// GPT-2: Radford et al., "Language models are unsupervised multitask learners", 2019. No dropout.
struct GptOptions {
  int64_t vocabulary = 50304, length = 1024, features = 768, heads = 12, layers = 12;
  DType dtype = DType::kBF16, param_dtype = DType::kF32;
  bool decode = false;
};

struct GptBlock {
  nnx::LayerNorm norm1;
  nnx::MultiHeadAttention attention;
  nnx::LayerNorm norm2;
  nnx::Linear up, down;

  GptBlock(const GptOptions& o, nnx::Rngs& rngs)
      : norm1(o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs),
        attention(o.heads, o.features,
                  {.dtype = o.dtype,
                   .param_dtype = o.param_dtype,
                   .causal = !o.decode,
                   .decode = o.decode,
                   .keep_rngs = false},
                  rngs),
        norm2(o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs),
        up(o.features, 4 * o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs),
        down(4 * o.features, o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs) {
    if (o.decode) attention.init_cache({1, o.length, o.features}, o.dtype);
  }
  Tensor operator()(const Tensor& x) {
    const Tensor h = x + attention(norm1(x));
    return h + down(gelu(up(norm2(h))));
  }
  LINNET_FIELDS(norm1, attention, norm2, up, down)
};

struct Gpt {
  nnx::Embed tokens, positions;
  std::vector<GptBlock> blocks;
  nnx::LayerNorm norm;

  Gpt(const GptOptions& o, nnx::Rngs& rngs)
      : tokens(o.vocabulary, o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs),
        positions(o.length, o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs),
        norm(o.features, {.dtype = o.dtype, .param_dtype = o.param_dtype}, rngs) {
    for (int64_t i = 0; i < o.layers; ++i) blocks.emplace_back(o, rngs);
  }
  /// Tokens i32 [batch, length], which begin at position `first` -> logits.
  Tensor operator()(const Tensor& token, const Tensor& first = scalar_integer(0, DType::kI32)) {
    const Tensor position = iota(DType::kI32, {token.shape(1)}) + first;
    Tensor x = tokens(token) + positions(position);
    for (GptBlock& block : blocks) x = block(x);
    return tokens.attend(norm(x));
  }
  LINNET_FIELDS(tokens, positions, blocks, norm)
};

inline optim::GradientTransformation clipped_adamw() {
  return optim::chain(optim::clip_by_global_norm(1.0), optim::adamw(6e-4, {.weight_decay = 0.1}));
}

inline ProgramCost cost_of_mlp() {
  return cost_of_training([](nnx::Rngs& r) { return Mlp(r); }, optim::sgd(0.1, 0.9),
                          of_type(DType::kF32, {64, 784}), of_type(DType::kI32, {64}));
}

inline ProgramCost cost_of_small_cnn() {
  return cost_of_training([](nnx::Rngs& r) { return SmallCnn(r); }, clipped_adamw(),
                          of_type(DType::kF32, {64, 28, 28, 1}), of_type(DType::kI32, {64}));
}

inline ProgramCost cost_of_resnet(const std::vector<int64_t>& depths, int64_t width, int64_t batch,
                                  int64_t size) {
  return cost_of_training(
      [&](nnx::Rngs& r) { return ResNet(depths, width, 1000, DType::kBF16, r); },
      optim::sgd(0.1, 0.9), of_type(DType::kBF16, {batch, size, size, 3}),
      of_type(DType::kI32, {batch}));
}

inline ProgramCost cost_of_gpt(const GptOptions& options, int64_t batch) {
  const Tensor tokens = of_type(DType::kI32, {batch, options.length});
  return cost_of_training([&](nnx::Rngs& r) { return Gpt(options, r); }, clipped_adamw(), tokens,
                          tokens);
}

/// One token of one sequence, with the keys and values of those before it in caches.
inline ProgramCost cost_of_decoding(GptOptions options) {
  options.decode = true;
  options.param_dtype = options.dtype;
  nnx::Rngs rngs(0);
  Gpt model = nnx::eval_shape([&](nnx::Rngs& r) { return Gpt(options, r); }, rngs);
  const auto step = jit([](Gpt& m, const Tensor& token, const Tensor& position) {
    return argmax(m(token, position), -1);
  });
  return step.lower(model, of_type(DType::kI32, {1, 1}), of_type(DType::kI32, {})).cost();
}

}  // namespace workload
