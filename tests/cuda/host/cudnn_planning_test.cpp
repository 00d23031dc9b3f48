// What the real cuDNN says about every kind of graph that is used, for cards that are not there: it
// plans, and compiles what it compiles at run time, for a device that it knows by its properties.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "kernels/cuda/cudnn/frontend.h"
#include "kernels/cuda/cudnn/library.h"
#include "linnet/error.h"

namespace linnet::cuda::cudnn::cudnn_planning_test {
namespace {

using Wanted = Convolution::Wanted;

/// Null if the library is not installed.
const Library* real_library() {
  static const Library* library = [] {
    void* const handle = dlopen(LINNET_REAL_CUDNN, RTLD_NOW | RTLD_LOCAL);
    return handle ? new Library(library_of(handle, LINNET_REAL_CUDNN)) : nullptr;
  }();
  return library;
}

/// Engines that are compiled at run time load what they have compiled.
bool has_driver() {
  static const bool found = dlopen("libcuda.so.1", RTLD_NOW) != nullptr;
  return found;
}

struct Card {
  const char* name;
  int architecture;
};

std::string properties_of(const Card& card) {
  std::ifstream file(std::string(LINNET_DEVICE_PROPERTIES) + "/" + card.name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Sizes dense(const Sizes& shape) {
  Sizes strides(shape.size(), 1);
  for (size_t i = shape.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

Sizes channels_last(const Sizes& shape) {
  Sizes strides(shape.size(), 1);
  int64_t run = shape[1];
  for (size_t i = shape.size(); i-- > 2; run *= shape[i]) strides[i] = run;
  strides[0] = run;
  return strides;
}

/// [batch, heads, length, size] that lies in memory as [batch, length, heads, size].
Sizes heads_inside(const Sizes& s) { return {s[1] * s[2] * s[3], s[3], s[1] * s[3], 1}; }

struct ConvRow {
  Type type = Type::kBF16;
  Wanted wanted = Wanted::kResult;
  int64_t in = 64, out = 128;
  Type compute = Type::kF32;
  bool is_channels_last = true;
  Sizes padding_low = {1, 1}, padding_high = {1, 1};
};

struct ConvParts {
  Graph graph;
  Convolution conv;
  Sizes y_shape, y_strides;
};

ConvParts conv_parts(const ConvRow& row, bool has_more) {
  ConvParts parts;
  Graph& g = parts.graph;
  const auto layout = row.is_channels_last ? channels_last : dense;
  const int64_t size = 14 - 2 + row.padding_low[0] + row.padding_high[0];
  const Sizes x{8, row.in, 14, 14}, w{row.out, row.in, 3, 3}, y{8, row.out, size, size};
  g.compute = row.compute;
  Convolution& c = parts.conv;
  c.wanted = row.wanted;
  c.x = g.tensor(row.type, x, layout(x));
  c.w = g.tensor(row.type, w, layout(w));
  c.y = has_more ? g.inner(row.compute, y, layout(y)) : g.tensor(row.type, y, layout(y));
  c.padding_low = row.padding_low;
  c.padding_high = row.padding_high;
  c.strides = c.dilation = {1, 1};
  g.nodes.push_back(c);
  parts.y_shape = y;
  parts.y_strides = layout(y);
  return parts;
}

Graph conv(const ConvRow& row) { return conv_parts(row, false).graph; }

/// activation(conv + bias) + residual; without activation what is left.
Graph conv_with(const ConvRow& row, std::optional<PointwiseMode> activation, bool has_residual,
                bool residual_first = false) {
  ConvParts p = conv_parts(row, true);
  Graph& g = p.graph;
  const auto layout = row.is_channels_last ? channels_last : dense;
  const Sizes bias{1, row.out, 1, 1};
  std::vector<Pointwise> steps{
      {PointwiseMode::kAdd, kNone, g.tensor(row.type, bias, layout(bias)), kNone}};
  const auto add_residual = [&] {
    steps.push_back(
        {PointwiseMode::kAdd, kNone, g.tensor(row.type, p.y_shape, p.y_strides), kNone});
  };
  if (has_residual && residual_first) add_residual();
  if (activation) steps.push_back({*activation, kNone, kNone, kNone});
  if (has_residual && !residual_first) add_residual();
  Id last = p.conv.y;
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].x = last;
    last = steps[i].y = i + 1 == steps.size() ? g.tensor(row.type, p.y_shape, p.y_strides)
                                              : g.inner(row.compute, p.y_shape, p.y_strides);
    g.nodes.push_back(steps[i]);
  }
  return g;
}

/// dx + other where y is positive.
Graph conv_data_sum_relu_gradient(Type type) {
  ConvRow row{.type = type, .wanted = Wanted::kData};
  ConvParts p = conv_parts(row, false);
  Graph& g = p.graph;
  const Sizes x = g.tensors[static_cast<size_t>(p.conv.x)].shape;
  g.tensors[static_cast<size_t>(p.conv.x)] = {row.compute, x, channels_last(x), true, {}};
  const Id sum = g.inner(row.compute, x, channels_last(x));
  const Id other = g.tensor(type, x, channels_last(x)), y = g.tensor(type, x, channels_last(x));
  g.nodes.push_back(Pointwise{PointwiseMode::kAdd, p.conv.x, other, sum});
  g.nodes.push_back(
      Pointwise{PointwiseMode::kReluGrad, sum, y, g.tensor(type, x, channels_last(x))});
  return g;
}

Graph conv_statistics(Type type) {
  ConvParts p = conv_parts({.type = type}, false);
  const Sizes sums{1, 128, 1, 1};
  const Id sum = p.graph.tensor(Type::kF32, sums, channels_last(sums));
  const Id squares = p.graph.tensor(Type::kF32, sums, channels_last(sums));
  p.graph.nodes.push_back(Statistics{p.conv.y, sum, squares});
  return p.graph;
}

Graph conv_sums(Type type) {
  ConvParts p = conv_parts({.type = type}, false);
  const Sizes sums{1, 128, 1, 1};
  const Id sum = p.graph.tensor(Type::kF32, sums, channels_last(sums));
  const Id squares = p.graph.tensor(Type::kF32, sums, channels_last(sums));
  p.graph.nodes.push_back(ChannelSums{p.conv.y, sum, squares});
  return p.graph;
}

struct AttentionRow {
  Type type = Type::kBF16;
  int64_t batch = 2, size = 64, heads = 4, kv_heads = 4, q_length = 256, kv_length = 256;
  bool causal = false, has_lengths = false, rounds = false, deterministic = true;
  float dropout = 0;
  Sizes bias = {}, dbias = {}, factors = {};  ///< empty: none
  Type bias_type = Type::kBF16;
};

Attention add_attention(Graph& g, const AttentionRow& row) {
  const Sizes q{row.batch, row.heads, row.q_length, row.size},
      k{row.batch, row.kv_heads, row.kv_length, row.size};
  const Sizes rows{row.batch, row.heads, row.q_length, 1}, one{1, 1, 1, 1},
      batch{row.batch, 1, 1, 1};
  Attention a;
  a.q = g.tensor(row.type, q, heads_inside(q));
  a.k = g.tensor(row.type, k, heads_inside(k));
  a.v = g.tensor(row.type, k, heads_inside(k));
  a.y = g.tensor(row.type, q, heads_inside(q));
  a.log_sum_exp = g.tensor(Type::kF32, rows, dense(rows));
  a.scale = 0.125f;
  a.causal = row.causal;
  if (row.has_lengths) {
    a.q_lengths = g.tensor(Type::kI32, batch, dense(batch));
    a.kv_lengths = g.tensor(Type::kI32, batch, dense(batch));
  }
  if (!row.bias.empty()) a.bias = g.tensor(row.bias_type, row.bias, dense(row.bias));
  if (!row.factors.empty()) {
    a.factors = g.tensor(row.type, row.factors, dense(row.factors));
    a.factors_scale = g.number(2);
    a.factors_scale_inverse = g.number(0.5f);
  }
  a.dropout = row.dropout;
  if (row.dropout > 0) {
    a.seed = g.tensor(Type::kI32, one, dense(one));
    a.offset = g.tensor(Type::kI32, one, dense(one));
  }
  g.may_round_operands = row.rounds;
  return a;
}

Graph attention(const AttentionRow& row) {
  Graph g;
  g.nodes.push_back(add_attention(g, row));
  return g;
}

Graph attention_backward(const AttentionRow& row) {
  Graph g;
  AttentionBackward b;
  b.forward = add_attention(g, row);
  const auto like = [&](Id id) {
    const GraphTensor t = g.tensors[static_cast<size_t>(id)];
    return g.tensor(t.type, t.shape, t.strides);
  };
  b.dy = like(b.forward.y);
  b.dq = like(b.forward.q);
  b.dk = like(b.forward.k);
  b.dv = like(b.forward.v);
  if (!row.dbias.empty()) b.dbias = g.tensor(row.type, row.dbias, dense(row.dbias));
  b.deterministic = row.deterministic;
  g.may_be_unordered = !row.deterministic;
  g.nodes.push_back(b);
  return g;
}

Graph layer_norm(Type type) {
  Graph g;
  const Sizes x{512, 768, 1, 1}, line{1, 768, 1, 1}, rows{512, 1, 1, 1};
  const auto add = [&](Type t, const Sizes& s) { return g.tensor(t, s, channels_last(s)); };
  LayerNorm n;
  n.x = add(type, x);
  n.scale = add(type, line);
  n.bias = add(type, line);
  n.epsilon = g.number(1e-6f);
  n.y = add(type, x);
  n.mean = add(Type::kF32, rows);
  n.inverse_deviation = add(Type::kF32, rows);
  g.nodes.push_back(n);
  return g;
}

Graph batch_norm_relu(Type type) {
  Graph g;
  const Sizes x{8, 64, 14, 14}, line{1, 64, 1, 1};
  const auto add = [&](Type t, const Sizes& s) { return g.tensor(t, s, channels_last(s)); };
  BatchNorm n;
  n.x = add(type, x);
  n.scale = add(Type::kF32, line);
  n.bias = add(Type::kF32, line);
  n.epsilon = g.number(1e-5f);
  n.y = g.inner(Type::kF32, x, channels_last(x));
  n.mean = add(Type::kF32, line);
  n.inverse_deviation = add(Type::kF32, line);
  g.nodes.push_back(n);
  g.nodes.push_back(Pointwise{PointwiseMode::kRelu, n.y, kNone, add(type, x)});
  return g;
}

Graph product_bias_gelu(Type type) {
  Graph g;
  const Sizes a{1, 256, 128}, b{1, 128, 512}, c{1, 256, 512}, line{1, 1, 512};
  Product p;
  p.a = g.tensor(type, a, dense(a));
  p.b = g.tensor(type, b, dense(b));
  p.c = g.inner(Type::kF32, c, dense(c));
  g.nodes.push_back(p);
  const Id sum = g.inner(Type::kF32, c, dense(c)), bias = g.tensor(type, line, dense(line));
  g.nodes.push_back(Pointwise{PointwiseMode::kAdd, p.c, bias, sum});
  g.nodes.push_back(Pointwise{PointwiseMode::kGeluTanh, sum, kNone, g.tensor(type, c, dense(c))});
  return g;
}

/// Biases that stand for masks, with every dimension that may be one, and dropout by factors.
std::vector<std::pair<std::string, AttentionRow>> masked_and_dropped() {
  using enum Type;
  return {
      {"mask_of_keys", {.bias = {2, 1, 1, 256}}},
      {"mask_of_keys_f16", {.type = kF16, .bias = {2, 1, 1, 256}, .bias_type = kF32}},
      {"mask_of_keys_causal_grouped",
       {.heads = 8, .kv_heads = 2, .causal = true, .bias = {2, 1, 1, 256}}},
      {"mask_of_keys_odd", {.q_length = 255, .kv_length = 129, .bias = {2, 1, 1, 129}}},
      {"mask_of_keys_one_query", {.q_length = 1, .kv_length = 129, .bias = {2, 1, 1, 129}}},
      {"mask_of_keys_unordered", {.deterministic = false, .bias = {1, 1, 1, 256}}},
      {"mask_of_keys_and_heads", {.bias = {2, 4, 1, 256}}},
      {"mask_of_pairs", {.bias = {2, 1, 256, 256}}},
      {"mask_of_pairs_f16",
       {.type = kF16, .causal = true, .bias = {1, 1, 256, 256}, .bias_type = kF32}},
      {"mask_of_pairs_odd",
       {.q_length = 255, .kv_length = 129, .causal = true, .bias = {2, 1, 255, 129}}},
      {"mask_of_everything", {.bias = {2, 4, 256, 256}}},
      {"dropout_factors", {.factors = {2, 4, 256, 256}}},
      {"dropout_factors_f16", {.type = kF16, .causal = true, .factors = {2, 4, 256, 256}}},
      {"dropout_factors_of_pairs", {.factors = {1, 1, 256, 256}}},
      {"dropout_factors_of_a_batch", {.factors = {2, 1, 256, 256}}},
      {"dropout_factors_grouped_unordered",
       {.heads = 8, .kv_heads = 2, .deterministic = false, .factors = {2, 8, 256, 256}}},
      {"dropout_factors_odd",
       {.q_length = 255, .kv_length = 129, .causal = true, .factors = {2, 4, 255, 129}}},
      {"dropout_factors_masked",
       {.causal = true, .bias = {2, 1, 1, 256}, .factors = {2, 4, 256, 256}}},
  };
}

struct Row {
  std::string name;
  Graph graph;
  bool on_80 = true, on_90 = true;
  bool needs_driver = false;  ///< no precompiled engine has it
};

void PrintTo(const Card& card, std::ostream* out) { *out << card.name; }
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

std::vector<Row> rows() {
  using enum Type;
  std::vector<Row> out;
  const auto add = [&](std::string name, Graph graph, bool needs_driver = false) {
    out.push_back({std::move(name), std::move(graph), true, true, needs_driver});
  };
  const auto declined = [&](std::string name, Graph graph, bool on_80 = false, bool on_90 = false) {
    out.push_back({std::move(name), std::move(graph), on_80, on_90, true});
  };
  const std::pair<const char*, Wanted> kinds[] = {
      {"conv", Wanted::kResult}, {"conv_data", Wanted::kData}, {"conv_weights", Wanted::kWeights}};
  const std::pair<const char*, Type> types[] = {{"bf16", kBF16}, {"f16", kF16}, {"f32", kF32}};
  for (const auto& [kind, wanted] : kinds) {
    for (const auto& [type_name, type] : types) {
      const std::string name = std::string(kind) + "_" + type_name;
      add(name, conv({.type = type, .wanted = wanted}));
      add(name + "_odd_channels", conv({.type = type, .wanted = wanted, .in = 3, .out = 7}));
    }
    add(std::string(kind) + "_f64", conv({.type = kF64, .wanted = wanted, .compute = kF64}));
    declined(std::string(kind) + "_e4m3", conv({.type = kE4M3, .wanted = wanted}), false,
             wanted == Wanted::kResult);
  }
  declined("conv_f64_computed_in_f32", conv({.type = kF64}));
  const Sizes none{0, 0}, one{1, 1};
  add("conv_bf16_uneven_padding", conv({.padding_low = none, .padding_high = one}));
  add("conv_f32_uneven_padding", conv({.type = kF32, .padding_low = none, .padding_high = one}));

  constexpr PointwiseMode kRelu = PointwiseMode::kRelu;
  add("conv_bf16_bias_relu", conv_with({}, kRelu, false));
  add("conv_f32_bias_relu", conv_with({.type = kF32}, kRelu, false));
  add("conv_bf16_bias_residual_relu", conv_with({}, kRelu, true, true), true);
  add("conv_bf16_bias_relu_residual", conv_with({}, kRelu, true), true);
  add("conv_bf16_bias_gelu_residual", conv_with({}, PointwiseMode::kGeluTanh, true), true);
  add("conv_bf16_bias_silu", conv_with({}, PointwiseMode::kSilu, false), true);
  add("conv_f32_bias_residual", conv_with({.type = kF32}, {}, true), true);
  declined("conv_bf16_bias_residual_relu_nchw",
           conv_with({.is_channels_last = false}, kRelu, true, true));
  add("conv_data_bf16_sum_relu_gradient", conv_data_sum_relu_gradient(kBF16), true);
  add("conv_data_f16_sum_relu_gradient", conv_data_sum_relu_gradient(kF16), true);
  add("conv_bf16_sums", conv_sums(kBF16), true);
  add("conv_f16_sums", conv_sums(kF16), true);
  add("conv_f16_statistics", conv_statistics(kF16), true);
  declined("conv_bf16_statistics", conv_statistics(kBF16));
  declined("conv_f32_statistics", conv_statistics(kF32));

  for (const int64_t size : {64, 72, 80, 128, 256, 512})
    add("attention_head_" + std::to_string(size), attention({.size = size}), true);
  declined("attention_head_60", attention({.size = 60}));
  add("attention_f16", attention({.type = kF16}), true);
  add("attention_f32_rounded", attention({.type = kF32, .rounds = true}), true);
  declined("attention_f32_exact", attention({.type = kF32}));
  add("attention_causal", attention({.causal = true}), true);
  add("attention_lengths", attention({.has_lengths = true}), true);
  add("attention_bias", attention({.bias = {1, 4, 256, 256}}), true);
  add("attention_dropout", attention({.dropout = 0.1f}), true);
  add("attention_grouped", attention({.heads = 8, .kv_heads = 2, .causal = true}), true);
  add("attention_odd_lengths", attention({.q_length = 255, .kv_length = 129, .causal = true}),
      true);
  add("attention_one_query", attention({.q_length = 1, .kv_length = 129}), true);

  for (const auto& [name, row] : masked_and_dropped()) {
    add("attention_" + name, attention(row), true);
    add("attention_backward_" + name, attention_backward(row), true);
  }
  const Sizes pairs{2, 1, 256, 256}, of_heads{1, 4, 256, 256};
  add("attention_f32_mask_and_factors",
      attention({.type = kF32,
                 .rounds = true,
                 .bias = pairs,
                 .factors = {2, 4, 256, 256},
                 .bias_type = kF32}),
      true);
  add("attention_backward_bias", attention_backward({.bias = of_heads, .dbias = of_heads}), true);
  add("attention_backward_bias_odd",
      attention_backward({.q_length = 255,
                          .kv_length = 129,
                          .deterministic = false,
                          .bias = {1, 4, 255, 129},
                          .dbias = {1, 4, 255, 129}}),
      true);
  add("attention_backward_bias_and_mask",
      attention_backward({.bias = {2, 4, 256, 256}, .dbias = of_heads}), true);
  add("attention_backward_bias_and_mask_f16",
      attention_backward(
          {.type = kF16, .bias = {2, 4, 256, 256}, .dbias = of_heads, .bias_type = kF32}),
      true);
  // A mask of queries has to be one of queries and keys.
  declined("attention_backward_mask_of_queries", attention_backward({.bias = {2, 1, 256, 1}}),
           false, true);
  declined("attention_mask_itself", attention({.bias = {2, 1, 1, 256}, .bias_type = kBool}));

  add("attention_backward", attention_backward({.causal = true}), true);
  add("attention_backward_head_128", attention_backward({.size = 128}), true);
  declined("attention_backward_head_256", attention_backward({.size = 256}), false, true);
  declined("attention_backward_head_512", attention_backward({.size = 512}));
  declined("attention_backward_f32", attention_backward({.type = kF32, .rounds = true}));
  add("attention_backward_lengths", attention_backward({.has_lengths = true}), true);
  add("attention_backward_dropout", attention_backward({.dropout = 0.1f}), true);
  add("attention_backward_grouped", attention_backward({.heads = 8, .kv_heads = 2, .causal = true}),
      true);
  add("attention_backward_odd_lengths",
      attention_backward({.q_length = 255, .kv_length = 129, .causal = true}), true);
  add("attention_backward_unordered", attention_backward({.deterministic = false}), true);

  add("layer_norm_bf16", layer_norm(kBF16), true);
  add("batch_norm_relu_bf16", batch_norm_relu(kBF16), true);
  add("product_bias_gelu_bf16", product_bias_gelu(kBF16), true);
  return out;
}

class CudnnPlanning : public ::testing::TestWithParam<std::tuple<Card, Row>> {};

TEST_P(CudnnPlanning, says) {
  const auto& [card, row] = GetParam();
  if (!real_library()) GTEST_SKIP() << "cuDNN is not installed (" << LINNET_REAL_CUDNN << ")";
  if (row.needs_driver && !has_driver()) GTEST_SKIP() << "there is no libcuda.so.1";
  const std::string properties = properties_of(card);
  const BuildResult built = build(
      row.graph,
      {.library = real_library(), .properties = properties, .architecture = card.architecture});
  const bool expected = card.architecture == 80 ? row.on_80 : row.on_90;
  EXPECT_EQ(built.plan != nullptr, expected) << built.declined;
  if (built.plan) {
    EXPECT_GT(built.plan->offered(), 0);
    EXPECT_FALSE(built.plan->name().empty());
  } else {
    EXPECT_FALSE(built.declined.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Graphs, CudnnPlanning,
                         ::testing::Combine(::testing::Values(Card{"a100", 80}, Card{"h100", 90}),
                                            ::testing::ValuesIn(rows())),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::get<1>(info.param).name;
                         });

TEST(CudnnPlanning, properties_of_a_larger_card_serve_too) {
  if (!real_library()) GTEST_SKIP() << "cuDNN is not installed (" << LINNET_REAL_CUDNN << ")";
  const std::string properties = properties_of({"h200", 90});
  const BuildResult built =
      build(conv({}), {.library = real_library(), .properties = properties, .architecture = 90});
  EXPECT_TRUE(built.plan) << built.declined;
}

TEST(CudnnPlanning, properties_that_lack_a_key_are_an_answer) {
  if (!real_library()) GTEST_SKIP() << "cuDNN is not installed (" << LINNET_REAL_CUDNN << ")";
  const BuildResult built =
      build(conv({}),
            {.library = real_library(), .properties = "{\"deviceVer\": 900}", .architecture = 90});
  EXPECT_FALSE(built.plan);
  EXPECT_NE(built.declined.find("properties of the device"), std::string::npos) << built.declined;
}

/// ResNet-50 on 256 images: the first layer, a layer of each kind, with the padding of SAME.
TEST(CudnnPlanning, convolutions_of_resnet_50) {
  if (!real_library()) GTEST_SKIP() << "cuDNN is not installed (" << LINNET_REAL_CUDNN << ")";
  if (!has_driver()) GTEST_SKIP() << "there is no libcuda.so.1";
  struct Layer {
    int64_t in, out, size, kernel, stride, low, high;
  };
  const Layer layers[] = {{3, 64, 224, 7, 2, 2, 3},
                          {64, 64, 56, 3, 1, 1, 1},
                          {128, 128, 56, 3, 2, 0, 1},
                          {256, 512, 56, 1, 2, 0, 0}};
  const std::string properties = properties_of({"h100", 90});
  for (const Layer& l : layers) {
    for (const Wanted wanted : {Wanted::kResult, Wanted::kData, Wanted::kWeights}) {
      SCOPED_TRACE(std::to_string(l.in) + " to " + std::to_string(l.out));
      const int64_t size = (l.size + l.low + l.high - l.kernel) / l.stride + 1;
      const Sizes x{256, l.in, l.size, l.size}, w{l.out, l.in, l.kernel, l.kernel},
          y{256, l.out, size, size};
      Graph g;
      g.most_workspace = int64_t{1} << 30;
      Convolution c;
      c.wanted = wanted;
      c.x = g.tensor(Type::kBF16, x, channels_last(x));
      c.w = g.tensor(Type::kBF16, w, channels_last(w));
      c.y = g.tensor(Type::kBF16, y, channels_last(y));
      c.padding_low = {l.low, l.low};
      c.padding_high = {l.high, l.high};
      c.strides = {l.stride, l.stride};
      c.dilation = {1, 1};
      g.nodes.push_back(c);
      const BuildResult built =
          build(g, {.library = real_library(), .properties = properties, .architecture = 90});
      ASSERT_TRUE(built.plan) << built.declined;
      EXPECT_LE(built.plan->workspace_bytes(), size_t{1} << 30);
    }
  }
}

/// GPT-2 124M on 64 sequences. In any order, gradients of queries are added up in f32; in a fixed
/// order, cuDNN keeps the gradients of all weights.
TEST(CudnnPlanning, workspace_of_attention_of_gpt_2) {
  if (!real_library()) GTEST_SKIP() << "cuDNN is not installed (" << LINNET_REAL_CUDNN << ")";
  if (!has_driver()) GTEST_SKIP() << "there is no libcuda.so.1";
  const std::string properties = properties_of({"h100", 90});
  const auto bytes = [&](const Graph& graph) {
    const BuildResult built =
        build(graph, {.library = real_library(), .properties = properties, .architecture = 90});
    EXPECT_TRUE(built.plan) << built.declined;
    return built.plan ? built.plan->workspace_bytes() : 0;
  };
  AttentionRow row{.batch = 64,
                   .heads = 12,
                   .kv_heads = 12,
                   .q_length = 1024,
                   .kv_length = 1024,
                   .causal = true};
  const size_t queries = 64 * 12 * 1024 * 64, weights = size_t{64} * 12 * 1024 * 1024;
  EXPECT_LT(bytes(attention(row)), size_t{1} << 20);
  const size_t fixed = bytes(attention_backward(row));
  row.deterministic = false;
  const size_t any = bytes(attention_backward(row));
  EXPECT_LT(any, 5 * queries);
  EXPECT_GE(fixed, 2 * weights);
}

/// The double of the library (tests/cuda/doubles/cudnn).
const Library& double_library() {
  static const Library library = [] {
    const std::string path = LINNET_FAKE_CUDA "/libcudnn.so.9";
    return library_of(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), path);
  }();
  return library;
}

TEST(CudnnDouble, plans_as_the_real_library_does) {
  if (!real_library()) GTEST_SKIP() << "cuDNN is not installed (" << LINNET_REAL_CUDNN << ")";
  if (!has_driver()) GTEST_SKIP() << "there is no libcuda.so.1";
  const std::string properties = properties_of({"a100", 80});
  for (const Graph& graph :
       {conv({.type = Type::kF32}), conv({.wanted = Wanted::kWeights, .in = 3}),
        conv_statistics(Type::kBF16), attention({.causal = true})}) {
    Context context{.library = real_library(), .properties = properties, .architecture = 80};
    const BuildResult real = build(graph, context);
    context.library = &double_library();
    const BuildResult ours = build(graph, context);
    ASSERT_EQ(real.plan != nullptr, ours.plan != nullptr) << real.declined << ours.declined;
    if (!real.plan) continue;
    EXPECT_EQ(ours.plan->name(), real.plan->name());
    EXPECT_EQ(ours.plan->offered(), real.plan->offered());
    EXPECT_EQ(ours.plan->workspace_bytes(), real.plan->workspace_bytes());
  }
}

TEST(CudnnDouble, refuses_addresses_that_do_not_fit) {
  const Library& library = double_library();
  cudnnHandle_t handle = nullptr;
  ASSERT_EQ(library.cudnnCreate(&handle), CUDNN_STATUS_SUCCESS);
  const BuildResult built =
      build(conv({}), {.library = &library, .handle = handle, .architecture = 90});
  ASSERT_TRUE(built.plan) << built.declined;
  const auto run = [&](uintptr_t x) -> std::string {
    void* const addresses[] = {reinterpret_cast<void*>(x), reinterpret_cast<void*>(0x2000),
                               reinterpret_cast<void*>(0x3000)};
    try {
      built.plan->run(handle, addresses, reinterpret_cast<void*>(0x4000));
    } catch (const DeviceError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(run(0x1002).find("less aligned"), std::string::npos) << run(0x1002);
  EXPECT_NE(run(0).find("null address"), std::string::npos) << run(0);
  library.cudnnDestroy(handle);
}

}  // namespace
}  // namespace linnet::cuda::cudnn::cudnn_planning_test
