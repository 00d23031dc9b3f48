// The models of reference/cases/models.py: each in both module APIs, and in each API with parts of
// the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "linnet/bridge/to_linen.h"
#include "linnet/init.h"
#include "linnet/linen/layers_attention.h"
#include "linnet/linen/layers_conv.h"
#include "linnet/linen/layers_linear.h"
#include "linnet/linen/layers_norm.h"
#include "linnet/nnx/layers_attention.h"
#include "linnet/nnx/layers_conv.h"
#include "linnet/nnx/layers_linear.h"
#include "linnet/nnx/layers_norm.h"
#include "linnet/nnx/layers_sequential.h"
#include "linnet/ops.h"

namespace linnet::reference_models {

constexpr double kMomentum = 0.9;

inline Tensor flat(const Tensor& x) { return reshape(x, {x.shape(0), -1}); }
inline bridge::CallOptions of_call(bool train) {
  return {.mutate = train ? bridge::Mutable("batch_stats") : bridge::Mutable(false)};
}

// Multilayer perceptron, 8 -> 32 -> 32 -> 4, with annotations.

inline linen::Dense annotated_dense(int64_t features) {
  return {.features = features,
          .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "out"}),
          .bias_init = linen::with_logical_partitioning(init::zeros(), {"mlp"})};
}
inline nnx::LinearOptions annotated() {
  return {.kernel_init = nnx::with_partitioning(init::lecun_normal(), {"in", "out"})};
}

struct Mlp {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool) const {
    Tensor h = relu(s(annotated_dense(32), x));
    h = relu(s(annotated_dense(32), h));
    return s("head", linen::Dense{.features = 4}, h);
  }
};

struct ObjectMlp {
  std::vector<nnx::Linear> layers;
  nnx::Linear head;

  explicit ObjectMlp(nnx::Rngs& rngs) : layers(make_layers(rngs)), head(32, 4, rngs) {}
  LINNET_FIELDS(layers, head)

  Tensor operator()(const Tensor& x, bool) {
    Tensor h = x;
    for (const nnx::Linear& layer : layers) h = relu(layer(h));
    return head(h);
  }

 private:
  static std::vector<nnx::Linear> make_layers(nnx::Rngs& rngs) {
    std::vector<nnx::Linear> layers;
    layers.emplace_back(8, 32, annotated(), rngs);
    layers.emplace_back(32, 32, annotated(), rngs);
    return layers;
  }
};

struct MixedMlp {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool) const {
    Tensor h = relu(s(annotated_dense(32), x));
    h = relu(s("second", bridge::to_linen<nnx::Linear>(32, 32, annotated()), h));
    return s("head", linen::Dense{.features = 4}, h);
  }
};

struct MixedObjectMlp {
  nnx::Linear first;
  bridge::ToNNX<linen::Dense> second;
  nnx::Linear head;

  explicit MixedObjectMlp(nnx::Rngs& rngs)
      : first(8, 32, annotated(), rngs), second(annotated_dense(32), rngs), head(32, 4, rngs) {}
  LINNET_FIELDS(first, second, head)

  Tensor operator()(const Tensor& x, bool) { return head(relu(second(relu(first(x))))); }
};

// Convolutions with batch norm and dropout, f32[n,12,12,1] -> 6 classes.

struct ConvBlock {
  int64_t features;

  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s(linen::Conv{.features = features, .kernel = {3, 3}, .use_bias = false}, x);
    y = s(linen::BatchNorm{.use_running_average = !train, .momentum = kMomentum}, y);
    return linen::avg_pool(relu(y), {2, 2}, {2, 2});
  }
  LINNET_FIELDS(features)
};

struct Head {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = relu(s(linen::Dense{.features = 24}, x));
    h = s(linen::Dropout{.rate = 0.3, .deterministic = !train}, h);
    return s(linen::Dense{.features = 6}, h);
  }
};

struct Cnn {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s(ConvBlock{8}, x, train);
    y = s(ConvBlock{12}, y, train);
    return s("head", Head{}, flat(y), train);
  }
};

struct ObjectConvBlock {
  nnx::Conv conv;
  nnx::BatchNorm norm;

  ObjectConvBlock(int64_t in, int64_t out, nnx::Rngs& rngs)
      : conv(in, out, {3, 3}, {.use_bias = false}, rngs),
        norm(out, {.momentum = kMomentum}, rngs) {}
  LINNET_FIELDS(conv, norm)

  Tensor operator()(const Tensor& x, bool train) {
    return nnx::avg_pool(relu(norm(conv(x), !train)), {2, 2}, {2, 2});
  }
};

struct ObjectHead {
  nnx::Linear hidden;
  nnx::Dropout dropout;
  nnx::Linear out;

  explicit ObjectHead(nnx::Rngs& rngs)
      : hidden(108, 24, rngs), dropout(0.3, rngs), out(24, 6, rngs) {}
  LINNET_FIELDS(hidden, dropout, out)

  Tensor operator()(const Tensor& x, bool train) { return out(dropout(relu(hidden(x)), !train)); }
};

struct ObjectCnn {
  ObjectConvBlock first, second;
  ObjectHead head;

  explicit ObjectCnn(nnx::Rngs& rngs) : first(1, 8, rngs), second(8, 12, rngs), head(rngs) {}
  LINNET_FIELDS(first, second, head)

  Tensor operator()(const Tensor& x, bool train) {
    return head(flat(second(first(x, train), train)), train);
  }
};

struct MixedCnn {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s(ConvBlock{8}, x, train);
    y = s("second", bridge::to_linen<ObjectConvBlock>(8, 12), y, train);
    return s("head", bridge::to_linen<ObjectHead>(), flat(y), train);
  }
};

struct MixedObjectCnn {
  ObjectConvBlock first;
  bridge::ToNNX<ConvBlock> second;
  bridge::ToNNX<Head> head;

  explicit MixedObjectCnn(nnx::Rngs& rngs)
      : first(1, 8, rngs), second(ConvBlock{12}, rngs), head(Head{}, rngs) {}
  LINNET_FIELDS(first, second, head)

  Tensor operator()(const Tensor& x, bool train) {
    return head(flat(second.call(of_call(train), first(x, train), train)), train);
  }
};

// ResNet-18 with 4 channels in place of 64, f32[n,32,32,3] -> 6 classes.

struct Stage {
  int64_t features, stride;
};
constexpr Stage kStages[] = {{4, 1}, {4, 1}, {8, 2}, {8, 1}, {16, 2}, {16, 1}, {32, 2}, {32, 1}};

/// Of what a block adds to its input, at first.
constexpr double kBranchScale = 0.25;

struct BasicBlock {
  int64_t features, stride;

  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    const linen::BatchNorm norm{.use_running_average = !train, .momentum = kMomentum};
    linen::BatchNorm last = norm;
    last.scale_init = init::constant(kBranchScale);
    Tensor y = relu(s(norm, s(conv({3, 3}, stride), x)));
    y = s(last, s(conv({3, 3}, 1), y));
    Tensor shortcut = x;
    if (x.shape() != y.shape())
      shortcut = s("norm_proj", norm, s("conv_proj", conv({1, 1}, stride), x));
    return relu(shortcut + y);
  }
  LINNET_FIELDS(features, stride)

 private:
  linen::Conv conv(const linen::PerDimension& kernel, int64_t strides) const {
    return {.features = features, .kernel = kernel, .strides = strides, .use_bias = false};
  }
};

struct FunctionalStem {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    const linen::Conv conv{
        .features = 4, .kernel = {7, 7}, .strides = 2, .padding = {3, 3}, .use_bias = false};
    Tensor y = s("conv_init", conv, x);
    y = s("bn_init", linen::BatchNorm{.use_running_average = !train, .momentum = kMomentum}, y);
    return linen::max_pool(relu(y), {3, 3}, {2, 2}, "SAME");
  }
};

struct ResNet {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s("stem", FunctionalStem{}, x, train);
    for (const Stage& stage : kStages) y = s(BasicBlock{stage.features, stage.stride}, y, train);
    return s(linen::Dense{.features = 6}, mean(y, {1, 2}));
  }
};

struct Downsample {
  nnx::Conv conv;
  nnx::BatchNorm norm;

  Downsample(int64_t in, const Stage& stage, nnx::Rngs& rngs)
      : conv(in, stage.features, {1, 1}, {.strides = stage.stride, .use_bias = false}, rngs),
        norm(stage.features, {.momentum = kMomentum}, rngs) {}
  LINNET_FIELDS(conv, norm)

  Tensor operator()(const Tensor& x, bool train) { return norm(conv(x), !train); }
};

struct ObjectBasicBlock {
  nnx::Conv conv1;
  nnx::BatchNorm norm1;
  nnx::Conv conv2;
  nnx::BatchNorm norm2;
  std::optional<Downsample> downsample;

  ObjectBasicBlock(int64_t in, int64_t features, int64_t stride, nnx::Rngs& rngs)
      : conv1(in, features, {3, 3}, {.strides = stride, .use_bias = false}, rngs),
        norm1(features, {.momentum = kMomentum}, rngs),
        conv2(features, features, {3, 3}, {.use_bias = false}, rngs),
        norm2(features, {.momentum = kMomentum, .scale_init = init::constant(kBranchScale)}, rngs) {
    if (in != features) downsample.emplace(in, Stage{features, stride}, rngs);
  }
  LINNET_FIELDS(conv1, norm1, conv2, norm2, downsample)

  Tensor operator()(const Tensor& x, bool train) {
    Tensor y = relu(norm1(conv1(x), !train));
    y = norm2(conv2(y), !train);
    return relu(y + (downsample ? (*downsample)(x, train) : x));
  }
};

struct ObjectStem {
  nnx::Conv conv;
  nnx::BatchNorm norm;

  explicit ObjectStem(nnx::Rngs& rngs)
      : conv(3, 4, {7, 7}, {.strides = 2, .padding = {3, 3}, .use_bias = false}, rngs),
        norm(4, {.momentum = kMomentum}, rngs) {}
  LINNET_FIELDS(conv, norm)

  Tensor operator()(const Tensor& x, bool train) {
    return nnx::max_pool(relu(norm(conv(x), !train)), {3, 3}, {2, 2}, "SAME");
  }
};

struct ObjectResNet {
  ObjectStem stem;
  std::vector<ObjectBasicBlock> layers;
  nnx::Linear head;

  explicit ObjectResNet(nnx::Rngs& rngs)
      : stem(rngs), layers(make_layers(rngs)), head(32, 6, rngs) {}
  LINNET_FIELDS(stem, layers, head)

  Tensor operator()(const Tensor& x, bool train) {
    Tensor y = stem(x, train);
    for (ObjectBasicBlock& layer : layers) y = layer(y, train);
    return head(mean(y, {1, 2}));
  }

 private:
  static std::vector<ObjectBasicBlock> make_layers(nnx::Rngs& rngs) {
    std::vector<ObjectBasicBlock> layers;
    int64_t in = 4;
    for (const Stage& stage : kStages) {
      layers.emplace_back(in, stage.features, stage.stride, rngs);
      in = stage.features;
    }
    return layers;
  }
};

struct MixedResNet {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s("stem", FunctionalStem{}, x, train);
    for (int i = 0; i < 8; ++i) {
      const auto [features, stride] = kStages[i];
      const std::string name = "block_" + std::to_string(i);
      y = i % 2
              ? s(name, bridge::to_linen<ObjectBasicBlock>(int64_t{y.shape(-1)}, features, stride),
                  y, train)
              : s(name, BasicBlock{features, stride}, y, train);
    }
    return s(linen::Dense{.features = 6}, mean(y, {1, 2}));
  }
};

struct MixedObjectResNet {
  ObjectStem stem;
  std::vector<bridge::ToNNX<BasicBlock>> layers;
  nnx::Linear head;

  explicit MixedObjectResNet(nnx::Rngs& rngs)
      : stem(rngs), layers(make_layers(rngs)), head(32, 6, rngs) {}
  LINNET_FIELDS(stem, layers, head)

  Tensor operator()(const Tensor& x, bool train) {
    Tensor y = stem(x, train);
    for (auto& layer : layers) y = layer.call(of_call(train), y, train);
    return head(mean(y, {1, 2}));
  }

 private:
  static std::vector<bridge::ToNNX<BasicBlock>> make_layers(nnx::Rngs& rngs) {
    std::vector<bridge::ToNNX<BasicBlock>> layers;
    for (const Stage& stage : kStages)
      layers.emplace_back(BasicBlock{stage.features, stage.stride}, rngs);
    return layers;
  }
};

// Vision transformer: patches of 4 x 4, 16 features, 2 heads, 2 blocks, f32[n,16,16,3] -> 6
// classes.

/// The class token before the patches, and positions added.
inline Tensor with_positions(const Tensor& patches, const Tensor& cls, const Tensor& positions) {
  const int64_t n = patches.shape(0);
  const Tensor tokens = reshape(patches, {n, -1, 16});
  return concatenate({broadcast_to(cls, {n, 1, 16}), tokens}, 1) + positions;
}
inline Tensor class_token(const Tensor& x) { return squeeze(slice_axis(x, 0, 1, 1), {1}); }

struct EncoderBlock {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    const linen::Dropout dropout{.rate = 0.1, .deterministic = !train};
    Tensor y = s(linen::LayerNorm{}, x);
    y = s(
        linen::MultiHeadDotProductAttention{
            .heads = 2, .dropout_rate = 0.1, .deterministic = !train},
        y);
    const Tensor h = x + s(dropout, y);
    y = gelu(s(linen::Dense{.features = 32}, s(linen::LayerNorm{}, h)));
    y = s(dropout, y);
    return h + s(linen::Dense{.features = 16}, y);
  }
};

struct Vit {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    return run(s, x, train, EncoderBlock{});
  }

 protected:
  template <class Block>
  Tensor run(linen::Scope& s, const Tensor& x, bool train, const Block& second) const {
    const linen::Conv embedding{.features = 16, .kernel = {4, 4}, .strides = 4, .padding = "VALID"};
    const Tensor patches = s("embedding", embedding, x);
    const Tensor cls = s.param("cls", init::zeros(), {1, 1, 16});
    const Tensor positions = s.param("pos_embedding", init::normal(0.02), {1, 17, 16});
    Tensor h = with_positions(patches, cls, positions);
    h = s("encoderblock_0", EncoderBlock{}, h, train);
    h = s("encoderblock_1", second, h, train);
    h = s("encoder_norm", linen::LayerNorm{}, h);
    return s("head", linen::Dense{.features = 6}, class_token(h));
  }
};

struct ObjectEncoderBlock {
  nnx::LayerNorm norm1;
  nnx::MultiHeadAttention attention;
  nnx::LayerNorm norm2;
  nnx::Linear up, down;
  nnx::Dropout dropout;

  explicit ObjectEncoderBlock(nnx::Rngs& rngs)
      : norm1(16, rngs),
        attention(2, 16, {.dropout_rate = 0.1}, rngs),
        norm2(16, rngs),
        up(16, 32, rngs),
        down(32, 16, rngs),
        dropout(0.1, rngs) {}
  LINNET_FIELDS(norm1, attention, norm2, up, down, dropout)

  Tensor operator()(const Tensor& x, bool train) {
    const Tensor h = x + dropout(attention(norm1(x), {.deterministic = !train}), !train);
    return h + down(dropout(gelu(up(norm2(h))), !train));
  }
};

/// Functional, with an object as its second block.
struct MixedVit : Vit {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    return run(s, x, train, bridge::to_linen<ObjectEncoderBlock>());
  }
};

struct ObjectVit {
  nnx::Conv embedding;
  nnx::Param cls, pos_embedding;
  std::vector<ObjectEncoderBlock> blocks;
  nnx::LayerNorm norm;
  nnx::Linear head;

  explicit ObjectVit(nnx::Rngs& rngs)
      : embedding(3, 16, {4, 4}, {.strides = 4, .padding = "VALID"}, rngs),
        cls(zeros({1, 1, 16})),
        pos_embedding(init::normal(0.02)(rngs.params(), {1, 17, 16}, DType::kF32)),
        blocks(make_blocks(rngs)),
        norm(16, rngs),
        head(16, 6, rngs) {}
  LINNET_FIELDS(embedding, cls, pos_embedding, blocks, norm, head)

  Tensor operator()(const Tensor& x, bool train) {
    Tensor h = with_positions(embedding(x), cls, pos_embedding);
    for (ObjectEncoderBlock& block : blocks) h = block(h, train);
    return head(class_token(norm(h)));
  }

 private:
  static std::vector<ObjectEncoderBlock> make_blocks(nnx::Rngs& rngs) {
    std::vector<ObjectEncoderBlock> blocks;
    for (int i = 0; i < 2; ++i) blocks.emplace_back(rngs);
    return blocks;
  }
};

/// An object with a functional second block.
struct MixedObjectVit {
  nnx::Conv embedding;
  nnx::Param cls, pos_embedding;
  std::tuple<ObjectEncoderBlock, bridge::ToNNX<EncoderBlock>> blocks;
  nnx::LayerNorm norm;
  nnx::Linear head;

  explicit MixedObjectVit(nnx::Rngs& rngs)
      : embedding(3, 16, {4, 4}, {.strides = 4, .padding = "VALID"}, rngs),
        cls(zeros({1, 1, 16})),
        pos_embedding(init::normal(0.02)(rngs.params(), {1, 17, 16}, DType::kF32)),
        blocks{ObjectEncoderBlock(rngs), bridge::ToNNX<EncoderBlock>(EncoderBlock{}, rngs)},
        norm(16, rngs),
        head(16, 6, rngs) {}
  LINNET_FIELDS(embedding, cls, pos_embedding, blocks, norm, head)

  Tensor operator()(const Tensor& x, bool train) {
    const Tensor h = std::get<0>(blocks)(with_positions(embedding(x), cls, pos_embedding), train);
    return head(class_token(norm(std::get<1>(blocks)(h, train))));
  }
};

// Autoencoder with two methods, 20 -> 4 -> 20.

struct Autoencoder {
  Tensor encode(linen::Scope& s, const Tensor& x) const {
    const Tensor h = tanh(s("encoder_0", linen::Dense{.features = 16}, x));
    return s("encoder_1", linen::Dense{.features = 4}, h);
  }
  Tensor decode(linen::Scope& s, const Tensor& z) const {
    const Tensor h = tanh(s("decoder_0", linen::Dense{.features = 16}, z));
    return s("decoder_1", linen::Dense{.features = 20}, h);
  }
  Tensor operator()(linen::Scope& s, const Tensor& x, bool) const {
    return decode(s, encode(s, x));
  }
};

struct Tanh {
  Tensor operator()(const Tensor& x) const { return tanh(x); }
};

struct ObjectAutoencoder {
  using Layers = nnx::Sequential<nnx::Linear, Tanh, nnx::Linear>;
  Layers encoder, decoder;

  explicit ObjectAutoencoder(nnx::Rngs& rngs)
      : encoder{nnx::Linear(20, 16, rngs), Tanh{}, nnx::Linear(16, 4, rngs)},
        decoder{nnx::Linear(4, 16, rngs), Tanh{}, nnx::Linear(16, 20, rngs)} {}
  LINNET_FIELDS(encoder, decoder)

  Tensor encode(const Tensor& x) { return encoder(x); }
  Tensor decode(const Tensor& z) { return decoder(z); }
  Tensor operator()(const Tensor& x, bool) { return decode(encode(x)); }
};

/// Functional, round an object whose methods are called by name.
struct MixedAutoencoder {
  Tensor encode(linen::Scope& s, const Tensor& x) const {
    linen::Scope inner = s.child("inner");
    return linen::Scope::call(inner, object().method(&ObjectAutoencoder::encode), x);
  }
  Tensor decode(linen::Scope& s, const Tensor& z) const {
    linen::Scope inner = s.child("inner");
    return linen::Scope::call(inner, object().method(&ObjectAutoencoder::decode), z);
  }
  Tensor operator()(linen::Scope& s, const Tensor& x, bool) const {
    linen::Scope inner = s.child("inner");
    const Tensor z = linen::Scope::call(inner, object().method(&ObjectAutoencoder::encode), x);
    return linen::Scope::call(inner, object().method(&ObjectAutoencoder::decode), z);
  }

 private:
  static bridge::ToLinen<ObjectAutoencoder> object() {
    return bridge::to_linen<ObjectAutoencoder>();
  }
};

/// An object round a functional module whose methods are called by name.
struct MixedObjectAutoencoder {
  bridge::ToNNX<Autoencoder> inner;

  explicit MixedObjectAutoencoder(nnx::Rngs& rngs) : inner(Autoencoder{}, rngs) {}
  LINNET_FIELDS(inner)

  Tensor encode(const Tensor& x) { return inner.method(&Autoencoder::encode)(x); }
  Tensor decode(const Tensor& z) { return inner.method(&Autoencoder::decode)(z); }
  Tensor operator()(const Tensor& x, bool train) { return inner(x, train); }
};

}  // namespace linnet::reference_models
