// Weights of other frameworks: files of Flax by path, files of PyTorch through a map, and the
// outputs those frameworks compute with them (reference/cases/flax_files.py, torch_weights.py).
#include "linnet/bridge/weight_map.h"
#include "linnet/io/state_dict_file.h"
#include "linnet/linnet.h"
#include "tests/modules/error_message.h"
#include "tests/ops/golden_file.h"

namespace linnet::weights_test {
namespace {

using linen::Scope;
using testing::expect_golden;
using testing::GoldenFile;
using enum bridge::WeightStep;

std::string golden_path(const std::string& name) {
  return std::string(LINNET_TEST_DATA) + "/reference/golden/" + name;
}

// Names of GPT2Model of the transformers package. Its Conv1D layers keep kernels as [in, out].
const bridge::WeightMap& gpt2_map() {
  static const bridge::WeightMap map{
      {"wte.weight", {"wte/embedding"}},  // also the head
      {"wpe.weight", {"wpe/embedding"}},
      {"h.{n}.ln_{i}.weight", {"h/{n}/ln_{i}/scale"}},
      {"h.{n}.ln_{i}.bias", {"h/{n}/ln_{i}/bias"}},
      {"h.{n}.attn.c_attn.weight",
       {"h/{n}/attn/query/kernel", "h/{n}/attn/key/kernel", "h/{n}/attn/value/kernel"},
       {kReshape}},  // [in, 3 * out] -> three [in, heads, dim]
      {"h.{n}.attn.c_attn.bias",
       {"h/{n}/attn/query/bias", "h/{n}/attn/key/bias", "h/{n}/attn/value/bias"},
       {kReshape}},
      {"h.{n}.attn.c_proj.weight", {"h/{n}/attn/out/kernel"}, {kReshape}},
      {"h.{n}.attn.c_proj.bias", {"h/{n}/attn/out/bias"}},
      {"h.{n}.attn.bias"},         // the causal mask
      {"h.{n}.attn.masked_bias"},  // what stands for -inf
      {"h.{n}.mlp.c_fc.weight", {"h/{n}/mlp/c_fc/kernel"}},
      {"h.{n}.mlp.c_fc.bias", {"h/{n}/mlp/c_fc/bias"}},
      {"h.{n}.mlp.c_proj.weight", {"h/{n}/mlp/c_proj/kernel"}},
      {"h.{n}.mlp.c_proj.bias", {"h/{n}/mlp/c_proj/bias"}},
      {"ln_f.weight", {"ln_f/scale"}},
      {"ln_f.bias", {"ln_f/bias"}},
  };
  return map;
}

constexpr int64_t kWords = 17, kLength = 8, kWidth = 8, kHeads = 2, kLayers = 2;

struct ObjectMlp {
  nnx::Linear c_fc, c_proj;
  explicit ObjectMlp(nnx::Rngs& r) : c_fc(kWidth, 4 * kWidth, r), c_proj(4 * kWidth, kWidth, r) {}
  LINNET_FIELDS(c_fc, c_proj)
  Tensor operator()(const Tensor& x) const { return c_proj(gelu(c_fc(x))); }
};

struct ObjectBlock {
  nnx::LayerNorm ln_1;
  nnx::MultiHeadAttention attn;
  nnx::LayerNorm ln_2;
  ObjectMlp mlp;
  explicit ObjectBlock(nnx::Rngs& rngs)
      : ln_1(kWidth, {.epsilon = 1e-5}, rngs),
        attn(kHeads, kWidth, {.causal = true}, rngs),
        ln_2(kWidth, {.epsilon = 1e-5}, rngs),
        mlp(rngs) {}
  LINNET_FIELDS(ln_1, attn, ln_2, mlp)
  Tensor operator()(const Tensor& x) {
    const Tensor h = x + attn(ln_1(x));
    return h + mlp(ln_2(h));
  }
};

struct ObjectGpt2 {
  nnx::Embed wte, wpe;
  std::vector<ObjectBlock> h;
  nnx::LayerNorm ln_f;
  explicit ObjectGpt2(nnx::Rngs& rngs)
      : wte(kWords, kWidth, rngs),
        wpe(kLength, kWidth, rngs),
        ln_f(kWidth, {.epsilon = 1e-5}, rngs) {
    for (int64_t n = 0; n < kLayers; ++n) h.emplace_back(rngs);
  }
  LINNET_FIELDS(wte, wpe, h, ln_f)
  Tensor operator()(const Tensor& tokens) {
    Tensor x = wte(tokens) + wpe(arange(tokens.shape(1)));
    for (ObjectBlock& block : h) x = block(x);
    return wte.attend(ln_f(x));
  }
};

struct Mlp {
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor y = s("c_fc", linen::Dense{.features = 4 * kWidth}, x);
    return s("c_proj", linen::Dense{.features = kWidth}, gelu(y));
  }
};

struct Block {
  Tensor operator()(Scope& s, const Tensor& x) const {
    const linen::LayerNorm norm{.epsilon = 1e-5};
    const Tensor h =
        x + s("attn", linen::SelfAttention{.heads = kHeads, .causal = true}, s("ln_1", norm, x));
    return h + s("mlp", Mlp{}, s("ln_2", norm, h));
  }
};

struct NumberedBlocks {
  Tensor operator()(Scope& s, Tensor x) const {
    for (int64_t n = 0; n < kLayers; ++n) x = s(std::to_string(n), Block{}, x);
    return x;
  }
};

struct ScannedBlock {
  std::pair<Tensor, std::tuple<>> operator()(Scope& s, const Tensor& x) const {
    return {Block{}(s, x), {}};
  }
};
struct ScannedBlocks {
  Tensor operator()(Scope& s, const Tensor& x) const {
    return linen::scan(ScannedBlock{}, {.variable_axes = {{"params", 0}},
                                        .split_rngs = {{"params", true}},
                                        .length = kLayers})(s, x)
        .first;
  }
};

template <class Blocks>
struct Gpt2 {
  Tensor operator()(Scope& s, const Tensor& tokens) const {
    const linen::Embed words{.num_embeddings = kWords, .features = kWidth};
    const linen::Embed places{.num_embeddings = kLength, .features = kWidth};
    Scope wte = s.child("wte");
    Tensor x = Scope::call(wte, words, tokens) + s("wpe", places, arange(tokens.shape(1)));
    x = s("ln_f", linen::LayerNorm{.epsilon = 1e-5}, s("h", Blocks{}, x));
    return Scope::call(
        wte, [&](Scope& t, const Tensor& query) { return words.attend(t, query); }, x);
  }
};

TEST(Weights, GPT2_of_PyTorch_in_both_apis) {
  const GoldenFile golden("torch");
  const SafetensorsFile file = read_safetensors(golden_path("torch_gpt2.safetensors"));
  const Tensor tokens = golden.tensor("gpt2/tokens"), logits = golden.tensor("gpt2/logits");

  nnx::Rngs rngs(0);
  ObjectGpt2 object(rngs);
  bridge::load_weights(file, gpt2_map(), object);
  expect_golden(object(tokens), logits, 2e-5, "object");

  linen::Variables variables = linen::init(Gpt2<NumberedBlocks>{}, Key(0), tokens);
  bridge::load_weights(file, gpt2_map(), variables);
  expect_golden(linen::apply(Gpt2<NumberedBlocks>{}, variables, tokens), logits, 2e-5,
                "functional");

  // Layers under scan: the same arrays, stacked.
  bridge::WeightMap stacked = gpt2_map();
  for (bridge::WeightRule& rule : stacked)
    for (std::string& to : rule.to)
      if (to.starts_with("h/{n}/"))
        to = "params/h/" + to.substr(6);
      else
        to = "params/" + to;
  linen::Variables scanned = linen::init(Gpt2<ScannedBlocks>{}, Key(0), tokens);
  bridge::load_weights(file, stacked, scanned);
  expect_golden(linen::apply(Gpt2<ScannedBlocks>{}, scanned, tokens), logits, 2e-5, "scanned");
}

// Names of torchvision's resnet: kernels [out, in, height, width], the last layer [out, in].
const bridge::WeightMap& resnet_map() {
  static const bridge::WeightMap map{
      {"conv1.weight", {"conv1/kernel"}, {kConvolution}},
      {"bn1.weight", {"bn1/scale"}},
      {"bn1.bias", {"bn1/bias"}},
      {"bn1.running_mean", {"bn1/mean"}},
      {"bn1.running_var", {"bn1/var"}},
      {"layer{l}.{b}.conv{i}.weight", {"layer{l}/{b}/conv{i}/kernel"}, {kConvolution}},
      {"layer{l}.{b}.bn{i}.weight", {"layer{l}/{b}/bn{i}/scale"}},
      {"layer{l}.{b}.bn{i}.bias", {"layer{l}/{b}/bn{i}/bias"}},
      {"layer{l}.{b}.bn{i}.running_mean", {"layer{l}/{b}/bn{i}/mean"}},
      {"layer{l}.{b}.bn{i}.running_var", {"layer{l}/{b}/bn{i}/var"}},
      {"layer{l}.{b}.downsample.0.weight", {"layer{l}/{b}/downsample/conv/kernel"}, {kConvolution}},
      {"layer{l}.{b}.downsample.1.weight", {"layer{l}/{b}/downsample/bn/scale"}},
      {"layer{l}.{b}.downsample.1.bias", {"layer{l}/{b}/downsample/bn/bias"}},
      {"layer{l}.{b}.downsample.1.running_mean", {"layer{l}/{b}/downsample/bn/mean"}},
      {"layer{l}.{b}.downsample.1.running_var", {"layer{l}/{b}/downsample/bn/var"}},
      {"fc.weight", {"fc/kernel"}, {kTranspose}},
      {"fc.bias", {"fc/bias"}},
      {"*.num_batches_tracked"},  // averages by momentum do not count
  };
  return map;
}

/// Channels and blocks of layer1, layer2, ….
constexpr std::pair<int64_t, int> kStages[] = {{4, 2}, {6, 1}, {8, 1}, {10, 1}};

// PyTorch pads both sides by the same, whatever the stride.
struct ObjectShortcut {
  nnx::Conv conv;
  nnx::BatchNorm bn;
  ObjectShortcut(int64_t in, int64_t out, int64_t stride, nnx::Rngs& rngs)
      : conv(in, out, {1, 1}, {.strides = stride, .use_bias = false}, rngs), bn(out, rngs) {}
  LINNET_FIELDS(conv, bn)
  Tensor operator()(const Tensor& x) { return bn(conv(x), true); }
};

struct ObjectResidual {
  nnx::Conv conv1;
  nnx::BatchNorm bn1;
  nnx::Conv conv2;
  nnx::BatchNorm bn2;
  std::optional<ObjectShortcut> downsample;
  ObjectResidual(int64_t in, int64_t out, int64_t stride, nnx::Rngs& rngs)
      : conv1(in, out, {3, 3}, {.strides = stride, .padding = 1, .use_bias = false}, rngs),
        bn1(out, rngs),
        conv2(out, out, {3, 3}, {.use_bias = false}, rngs),
        bn2(out, rngs) {
    if (stride != 1 || in != out) downsample.emplace(in, out, stride, rngs);
  }
  LINNET_FIELDS(conv1, bn1, conv2, bn2, downsample)
  Tensor operator()(const Tensor& x) {
    const Tensor y = bn2(conv2(relu(bn1(conv1(x), true))), true);
    return relu(y + (downsample ? (*downsample)(x) : x));
  }
};

struct ObjectResNet {
  nnx::Conv conv1;
  nnx::BatchNorm bn1;
  std::vector<ObjectResidual> layer1, layer2, layer3, layer4;
  nnx::Linear fc;
  explicit ObjectResNet(nnx::Rngs& rngs)
      : conv1(3, 4, {7, 7}, {.strides = 2, .padding = 3, .use_bias = false}, rngs),
        bn1(4, rngs),
        fc(10, 5, rngs) {
    int64_t in = 4, stage = 0;
    for (auto* layer : {&layer1, &layer2, &layer3, &layer4}) {
      const auto [out, blocks] = kStages[stage];
      for (int b = 0; b < blocks; ++b) {
        layer->emplace_back(in, out, stage > 0 && b == 0 ? 2 : 1, rngs);
        in = out;
      }
      ++stage;
    }
  }
  LINNET_FIELDS(conv1, bn1, layer1, layer2, layer3, layer4, fc)
  Tensor operator()(const Tensor& image) {
    Tensor x = relu(bn1(conv1(image), true));
    x = nnx::max_pool(x, {3, 3}, {2, 2}, 1);
    for (auto* layer : {&layer1, &layer2, &layer3, &layer4})
      for (ObjectResidual& block : *layer) x = block(x);
    return fc(mean(x, {1, 2}));
  }
};

struct Shortcut {
  int64_t out, stride;
  Tensor operator()(Scope& s, const Tensor& x) const {
    const linen::Conv conv{.features = out, .kernel = {1, 1}, .strides = stride, .use_bias = false};
    return s("bn", linen::BatchNorm{.use_running_average = true}, s("conv", conv, x));
  }
};

struct Residual {
  int64_t out, stride;
  Tensor operator()(Scope& s, const Tensor& x) const {
    const linen::BatchNorm norm{.use_running_average = true};
    linen::Conv conv{
        .features = out, .kernel = {3, 3}, .strides = stride, .padding = 1, .use_bias = false};
    Tensor y = relu(s("bn1", norm, s("conv1", conv, x)));
    conv.strides = 1;
    y = s("bn2", norm, s("conv2", conv, y));
    const bool same = stride == 1 && x.shape(-1) == out;
    return relu(y + (same ? x : s("downsample", Shortcut{out, stride}, x)));
  }
};

struct Stage {
  int64_t out, stride;
  int blocks;
  Tensor operator()(Scope& s, Tensor x) const {
    for (int b = 0; b < blocks; ++b)
      x = s(std::to_string(b), Residual{out, b == 0 ? stride : 1}, x);
    return x;
  }
};

struct ResNet {
  Tensor operator()(Scope& s, const Tensor& image) const {
    const linen::Conv conv{
        .features = 4, .kernel = {7, 7}, .strides = 2, .padding = 3, .use_bias = false};
    Tensor x = s("bn1", linen::BatchNorm{.use_running_average = true}, s("conv1", conv, image));
    x = linen::max_pool(relu(x), {3, 3}, {2, 2}, 1);
    for (int64_t l = 0; l < 4; ++l) {
      const auto [out, blocks] = kStages[l];
      x = s("layer" + std::to_string(l + 1), Stage{out, l == 0 ? 1 : 2, blocks}, x);
    }
    return s("fc", linen::Dense{.features = 5}, mean(x, {1, 2}));
  }
};

TEST(Weights, ResNet_of_PyTorch_in_both_apis) {
  const Tensor logits = GoldenFile("torch").tensor("resnet/logits");
  const SafetensorsFile file = read_safetensors(golden_path("torch_resnet.safetensors"));
  const Tensor numbers = mod(arange(2 * 3 * 32 * 32) * 7919, 1000).astype(DType::kF32) / 1000 - 0.5;
  const Tensor image = transpose(reshape(numbers, {2, 3, 32, 32}), {0, 2, 3, 1});  // NCHW -> NHWC

  nnx::Rngs rngs(0);
  ObjectResNet object(rngs);
  bridge::load_weights(file, resnet_map(), object);
  expect_golden(object(image), logits, 2e-5, "object");

  linen::Variables variables = linen::init(ResNet{}, Key(0), image);
  bridge::load_weights(file, resnet_map(), variables);
  expect_golden(linen::apply(ResNet{}, variables, image), logits, 2e-5, "functional");
}

struct Mixed {
  Tensor operator()(Scope& s, const Tensor& x) const {
    Tensor h = s("dense", linen::Dense{.features = 4}, x);
    h = s("norm", linen::BatchNorm{.use_running_average = true}, h);
    h = s("inner", bridge::to_linen<nnx::Linear>(4, 3), tanh(h));
    return s("out", linen::Dense{.features = 2}, h);
  }
};

struct ObjectMixed {
  bridge::ToNNX<linen::Dense> dense;
  nnx::BatchNorm norm;
  nnx::Linear inner, out;
  explicit ObjectMixed(nnx::Rngs& rngs)
      : dense(linen::Dense{.features = 4}, rngs),
        norm(4, {.use_running_average = true}, rngs),
        inner(4, 3, rngs),
        out(3, 2, rngs) {}
  LINNET_FIELDS(dense, norm, inner, out)
  Tensor operator()(const Tensor& x) { return out(inner(tanh(norm(dense(x))))); }
};

// Files of either API, of both formats, fill models of either API.
TEST(Weights, files_of_Flax_by_path) {
  const GoldenFile golden("flax_files");
  const Tensor x = golden.tensor("mixed/x");
  for (const std::string api : {"linen", "nnx"}) {
    const Tensor wanted = golden.tensor("mixed/" + api);
    for (const std::string format : {".msgpack", ".safetensors"}) {
      const StateDict saved = read_state_dict(golden_path("flax_" + api + format));
      linen::Variables variables = linen::init(Mixed{}, Key(0), x);
      bridge::convert(saved, variables);
      expect_golden(linen::apply(Mixed{}, variables, x), wanted, 1e-6, api + format);
      nnx::Rngs rngs(0);
      ObjectMixed object(rngs);
      bridge::lazy_init(object, x);
      bridge::convert(saved, object);
      expect_golden(object(x), wanted, 1e-6, api + format + " in an object");
    }
  }
}

using Arrays = std::map<std::string, HostArray>;

HostArray counted(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return host_array<float>(shape, values);
}

linen::Variables targets(std::initializer_list<std::pair<std::string, Shape>> shapes) {
  linen::Variables out;
  for (const auto& [name, shape] : shapes)
    out.at_path({"params", name}) = linen::Variables(zeros(shape));
  return out;
}

TEST(Weights, steps_change_the_layout) {
  struct Row {
    Shape from;
    std::vector<bridge::WeightStep> steps;
    Shape to;
    std::vector<float> values;
  };
  const std::vector<Row> rows{
      {{2, 3}, {}, {2, 3}, {0, 1, 2, 3, 4, 5}},
      {{2, 3}, {kTranspose}, {3, 2}, {0, 3, 1, 4, 2, 5}},
      {{2, 3, 2}, {kConvolution}, {2, 3, 2}, {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11}},  // OIW -> WIO
      {{1, 3, 1}, {kSqueeze}, {3}, {0, 1, 2}},
      {{2, 4}, {kReshape}, {2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7}},
      {{2, 2, 2}, {kTranspose}, {}, {}},
      {{2, 3, 1, 1}, {kSqueeze, kTranspose, kReshape}, {3, 2, 1}, {0, 3, 1, 4, 2, 5}},
  };
  for (const Row& row : rows) {
    linen::Variables model = targets({{"w", row.to}});
    const auto load = [&] {
      bridge::load_weights(Arrays{{"a", counted(row.from)}}, {{"a", {"w"}, row.steps}}, model);
    };
    if (row.values.empty()) {
      EXPECT_THROW(load(), ShapeError);
      continue;
    }
    load();
    expect_golden(model["params"]["w"], from_vector(row.values, row.to), 0, to_string(row.to));
  }
}

TEST(Weights, parts_stacks_and_element_types) {
  // Two of two numbers: parts of the last axis, then stacked.
  linen::Variables model = targets({{"q", {2, 2}}, {"k", {2, 2}}});
  const bridge::WeightMap map{{"{n}.qk", {"q", "params/k"}}};
  EXPECT_THROW(bridge::load_weights(Arrays{{"0.qk", counted({4})}}, map, model), ValueError);
  const bridge::WeightMap plain{{"{n}.qk", {"q", "k"}}};
  Arrays arrays{{"0.qk", counted({4})}, {"1.qk", counted({4})}};
  bridge::load_weights(arrays, plain, model);
  expect_golden(model["params"]["q"], tensor({{0.f, 1.f}, {0.f, 1.f}}), 0, "q");
  expect_golden(model["params"]["k"], tensor({{2.f, 3.f}, {2.f, 3.f}}), 0, "k");

  arrays["0.qk"] = to_host_array(ones({4}, DType::kBF16));
  arrays["1.qk"] = arrays["0.qk"];
  EXPECT_HAS(message<DTypeError>([&] { bridge::load_weights(arrays, plain, model); }),
             "'0.qk' to '1.qk' of the file gives 'k': expected f32[2,2], got bf16[2,2]");
  bridge::load_weights(arrays, plain, model, {.cast = true});
  expect_golden(model["params"]["k"], ones({2, 2}), 0, "converted");
}

TEST(Weights, what_does_not_fit_is_named_on_both_sides) {
  const bridge::WeightMap map{{"l.{n}.w", {"l{n}"}, {kTranspose}}, {"*.unused"}};
  linen::Variables model = targets({{"l0", {3, 2}}, {"l1", {3, 2}}, {"head", {4}}});
  const Arrays arrays{{"l.0.w", counted({2, 3})},
                      {"l.7.w", counted({2, 3})},
                      {"x.unused", counted({1})},
                      {"other", counted({1})}};
  const std::string text = message<ValueError>([&] { bridge::load_weights(arrays, map, model); });
  for (const char* part : {"'other' of the file: no rule says where it goes",
                           "'l1' f32[3,2] of the model: the file has no 'l.1.w'",
                           "'head' f32[4] of the model: no rule leads there",
                           "'l.7.w' of the file goes to 'l7', which the model does not have"})
    EXPECT_HAS(text, part);
  expect_golden(model["params"]["l0"], zeros({3, 2}), 0, "nothing is written");

  struct Row {
    bridge::WeightMap map;
    Arrays arrays;
    const char* text;
  };
  linen::Variables one = targets({{"w", {4, 2}}});
  const std::vector<Row> rows{
      {{{"a", {"w"}}},
       {{"a", counted({2, 4})}},
       "'a' of the file gives 'w': expected f32[4,2], got f32[2,4]"},
      {{{"a", {"w"}, {kReshape}}}, {{"a", counted({2, 4})}}, "expected f32[4,2], got f32[2,4]"},
      {{{"a", {"w", "v", "u"}}}, {{"a", counted({4})}}, "the model does not have"},
      {{{"{n}.a", {"w"}}},
       {{"0.a", counted({2})}, {"2.a", counted({2})}},
       "'w' is stacked, and the file has '2.a' but no '1.a'"},
      {{{"a", {"w"}}, {"b", {"w"}}},
       {{"a", counted({4, 2})}, {"b", counted({4, 2})}},
       "'a' and 'b' of the file both go to 'w'"},
      {{{"a.{n}", {"w{m}"}}}, {}, "'a.{n}' has no {m}, which 'w{m}' uses"},
      {{{"a.{n}.{m}", {"w"}}}, {}, "'a.{n}.{m}' has several numbers that 'w' has not"},
      {{{"a.{n", {"w"}}}, {}, "the pattern 'a.{n' has a brace without a name in it"},
      {{{"{n}.{n}", {"w"}}}, {}, "the pattern '{n}.{n}' has {n} twice"},
      {{{"*.a", {"w"}}}, {}, "'*.a': only names that are ignored may have a *"},
      {{{"a", {"w"}, {kReshape, kTranspose}}}, {}, "'a': kReshape is the last step"},
      {{{"a", {"w"}, {kConvolution}}},
       {{"a", counted({4, 2})}},
       "'a' f32[4,2]: kConvolution needs 3 axes or more"},
  };
  for (const Row& row : rows)
    EXPECT_HAS(message<Error>([&] { bridge::load_weights(row.arrays, row.map, one); }), row.text);
}

TEST(Weights, state_dicts_in_files) {
  const std::string path = ::testing::TempDir() + "linnet_weights.safetensors";
  write_safetensors(path, {{"a.b/c", counted({2})}, {"a.d", counted({1})}});
  EXPECT_TRUE(read_state_dict(path)["a.b"]["c"].is_array());
  EXPECT_TRUE(read_state_dict(path, {.separator = '.'})["a"]["b/c"].is_array());
  write_safetensors(path, {{"a/b", counted({2})}, {"a", counted({1})}});
  EXPECT_HAS(message<IoError>([&] { read_state_dict(path); }),
             "'a/b' is below 'a', which is an array");
  EXPECT_THROW(read_state_dict(path + ".missing"), IoError);
}

}  // namespace
}  // namespace linnet::weights_test
