// Every layer of both module APIs against JAX/Flax: variables made from the seed, outputs,
// gradients and updated collections.
#include "tests/modules/layers_support.h"

namespace linnet::layers_golden_test {
namespace {

using linen::AttentionCall;
using linen::MultiHeadDotProductAttention;
using testing::check_linen;
using testing::check_nnx;
using testing::expect_golden;
using testing::expect_variables;
using testing::golden_below;
using testing::layers_golden;
using testing::linen_run;

TEST(Layers, L_115_Dense) {
  check_linen("dense", linen_run(linen::Dense{.features = 4}));
  check_linen("dense_no_bias", linen_run(linen::Dense{.features = 4, .use_bias = false}));
  check_linen("dense_batch", linen_run(linen::Dense{.features = 2}));
}

TEST(Layers, L_117_DenseComputesInItsDtype) {
  check_linen("dense_bf16", linen_run(linen::Dense{.features = 4, .dtype = DType::kBF16}),
              {.tolerance = 8e-3});
}

TEST(Layers, L_118_DenseGeneral) {
  check_linen("dense_general", linen_run(linen::DenseGeneral{.features = {2, 3}, .axis = {1, -1}}));
  check_linen("dense_general_batch",
              linen_run(linen::DenseGeneral{.features = {3}, .axis = {-1}, .batch_dims = {0}}));
}

TEST(Layers, L_119_Einsum) {
  check_linen("einsum", linen_run(linen::Einsum{.shape = {5, 2, 3}, .equation = "abc,cde->abde"}));
}

TEST(Layers, L_125_Embed) {
  check_linen("embed", linen_run(linen::Embed{.num_embeddings = 5, .features = 3}));
}

TEST(Layers, N_117_N_118_N_119_N_122_LinearFamily) {
  nnx::Rngs a(0), b(0), c(0), d(0);
  check_nnx("dense", nnx::Linear(3, 4, a));
  check_nnx("dense_general", nnx::LinearGeneral({3, 5}, {2, 3}, {.axis = {1, -1}}, b));
  check_nnx("einsum", nnx::Einsum("abc,cde->abde", {5, 2, 3}, Shape{2, 3}, c));
  check_nnx("embed", nnx::Embed(5, 3, d));
}

/// One convolution in both APIs.
void check_conv(const std::string& name, const linen::Conv& functional, int64_t in) {
  check_linen(name, linen_run(functional));
  nnx::Rngs rngs(0);
  nnx::Conv object(in, functional.features, functional.kernel,
                   {.strides = functional.strides,
                    .padding = functional.padding,
                    .input_dilation = functional.input_dilation,
                    .kernel_dilation = functional.kernel_dilation,
                    .feature_group_count = functional.feature_group_count,
                    .use_bias = functional.use_bias},
                   rngs);
  check_nnx(name, object);
}

TEST(Layers, L_120_N_120_ConvStridesDilationsGroups) {
  check_conv("conv1d", {.features = 4, .kernel = {3}}, 3);
  check_conv("conv1d_dilated",
             {.features = 3, .kernel = 3, .padding = "VALID", .kernel_dilation = 2}, 2);
  check_conv("conv2d_same", {.features = 4, .kernel = {3, 3}}, 3);
  check_conv("conv2d_valid_strided",
             {.features = 3, .kernel = {3, 2}, .strides = {2, 3}, .padding = "VALID"}, 2);
  check_conv("conv2d_same_strided", {.features = 3, .kernel = {3, 3}, .strides = 2}, 2);
  check_conv("conv2d_dilated", {.features = 3, .kernel = {3, 3}, .kernel_dilation = {2, 3}}, 2);
  check_conv("conv2d_input_dilated",
             {.features = 3, .kernel = {3, 3}, .padding = {{1, 1}, {2, 1}}, .input_dilation = 2},
             2);
  check_conv("conv2d_grouped", {.features = 6, .kernel = {3, 3}, .feature_group_count = 2}, 4);
  check_conv("conv2d_depthwise", {.features = 4, .kernel = {3, 3}, .feature_group_count = 4}, 4);
  check_conv("conv2d_no_bias", {.features = 3, .kernel = {1, 1}, .use_bias = false}, 2);
  check_conv("conv3d", {.features = 3, .kernel = {2, 3, 2}, .strides = {1, 2, 1}}, 2);
}

TEST(Layers, L_121_N_120_ConvPaddings) {
  check_conv("conv1d_causal", {.features = 4, .kernel = {3}, .padding = "CAUSAL"}, 3);
  check_conv("conv2d_circular", {.features = 3, .kernel = {3, 3}, .padding = "CIRCULAR"}, 2);
  check_conv("conv2d_reflect", {.features = 3, .kernel = {3, 3}, .padding = "REFLECT"}, 2);
  check_conv("conv2d_explicit", {.features = 3, .kernel = {3, 3}, .padding = {{2, 0}, {1, 3}}}, 2);
}

void check_conv_transpose(const std::string& name, const linen::ConvTranspose& functional,
                          int64_t in) {
  check_linen(name, linen_run(functional));
  nnx::Rngs rngs(0);
  nnx::ConvTranspose object(in, functional.features, functional.kernel,
                            {.strides = functional.strides,
                             .padding = functional.padding,
                             .transpose_kernel = functional.transpose_kernel},
                            rngs);
  check_nnx(name, object);
}

TEST(Layers, L_124_N_121_ConvTranspose) {
  check_conv_transpose("conv_transpose1d", {.features = 2, .kernel = {3}, .strides = {2}}, 3);
  check_conv_transpose("conv_transpose2d_same", {.features = 3, .kernel = {3, 3}, .strides = 2}, 2);
  check_conv_transpose("conv_transpose2d_valid",
                       {.features = 3, .kernel = {3, 2}, .strides = {2, 3}, .padding = "VALID"}, 2);
  check_conv_transpose("conv_transpose2d_circular",
                       {.features = 3, .kernel = {3, 3}, .strides = 2, .padding = "CIRCULAR"}, 2);
  check_conv_transpose("conv_transpose2d_kernel",
                       {.features = 3, .kernel = {3, 3}, .strides = 2, .transpose_kernel = true},
                       2);
}

TEST(Layers, L_129_BatchNorm) {
  check_linen("batch_norm_train", linen_run(linen::BatchNorm{.momentum = 0.9}, false),
              {.mutate = "batch_stats"});
  check_linen("batch_norm_eval", linen_run(linen::BatchNorm{.momentum = 0.9}, true));
  check_linen("batch_norm_slow",
              linen_run(linen::BatchNorm{
                  .use_running_average = false, .use_scale = false, .use_fast_variance = false}),
              {.mutate = "batch_stats"});
  const Tensor mask =
      broadcast_to(reshape(tensor({true, false, true, true}), {4, 1, 1}), {4, 3, 1});
  check_linen("batch_norm_mask", linen_run(linen::BatchNorm{}, false, mask),
              {.mutate = "batch_stats"});
}

TEST(Layers, N_123_BatchNorm) {
  for (const bool train : {true, false}) {
    nnx::Rngs rngs(0);
    nnx::BatchNorm norm(5, {.momentum = 0.9}, rngs);
    check_nnx(train ? "batch_norm_train" : "batch_norm_eval", norm,
              [&](nnx::BatchNorm& m, const Tensor& x) { return m(x, !train); });
  }
}

TEST(Layers, L_131_OtherNormalisations) {
  check_linen("layer_norm", linen_run(linen::LayerNorm{}));
  check_linen("layer_norm_axes", linen_run(linen::LayerNorm{.reduction_axes = {1, 2}}));
  check_linen("rms_norm", linen_run(linen::RMSNorm{}));
  check_linen("group_norm", linen_run(linen::GroupNorm{.num_groups = 3}));
  check_linen("instance_norm", linen_run(linen::InstanceNorm{}));
}

TEST(Layers, N_124_N_125_N_126_OtherNormalisations) {
  nnx::Rngs rngs(0);
  check_nnx("layer_norm", nnx::LayerNorm(5, rngs));
  check_nnx("rms_norm", nnx::RMSNorm(5, rngs));
  check_nnx("group_norm", nnx::GroupNorm(6, {.num_groups = 3}, rngs));
  check_nnx("instance_norm", nnx::InstanceNorm(6, rngs));
}

TEST(Layers, L_139_Attention) {
  const Tensor mask = linen::make_causal_mask(ones({2, 4}));
  check_linen("attention", linen_run(MultiHeadDotProductAttention{.heads = 2, .qkv_features = 8},
                                     AttentionCall{.mask = mask}));
  check_linen("attention_cross",
              linen_run(MultiHeadDotProductAttention{.heads = 2, .qkv_features = 8},
                        layers_golden("linen/attention_cross/in/1")));
  check_linen("attention_qk_norm",
              linen_run(MultiHeadDotProductAttention{.heads = 2, .normalize_qk = true}));
}

TEST(Layers, L_138_AttentionDropout) {
  check_linen("attention_dropout",
              linen_run(MultiHeadDotProductAttention{
                  .heads = 2, .dropout_rate = 0.4, .deterministic = false}),
              {.rngs = {{"dropout", Key(3)}}});
  check_linen(
      "attention_dropout_full",
      linen_run(MultiHeadDotProductAttention{
          .heads = 2, .broadcast_dropout = false, .dropout_rate = 0.4, .deterministic = false}),
      {.rngs = {{"dropout", Key(3)}}});
}

TEST(Layers, L_141_AttentionDecodes) {
  const std::string prefix = "linen/attention_decode/";
  const MultiHeadDotProductAttention module{.heads = 2, .decode = true};
  const Tensor x = layers_golden(prefix + "in");
  const linen::Variables variables = linen::init(module, Key(0), x);
  expect_variables({{"params", variables["params"]}}, prefix + "variables/", 1e-6);
  linen::Variables cache{{"cache", variables["cache"]}};
  TensorList outs;
  for (int64_t t = 0; t < 4; ++t) {
    auto [y, updated] = linen::apply_with({.mutate = "cache"}, module, variables | cache,
                                          slice_axis(x, t, t + 1, 1));
    outs.push_back(y);
    cache = updated;
  }
  expect_golden(concatenate(outs, 1), layers_golden(prefix + "out"), 3e-6, "steps");
  expect_variables(cache["cache"], prefix + "cache/", 3e-6);
}

TEST(Layers, N_134_AttentionDecodes) {
  const std::string prefix = "linen/attention_decode/";
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention module(2, 6, {.decode = true}, rngs);
  const nnx::State params = nnx::state(module, nnx::of_type<nnx::Param>());
  for (const auto& [path, leaf] : params.entries()) {
    leaf.cell->set_raw(layers_golden(prefix + "variables/params/" + tree::to_string(path)));
  }
  EXPECT_THROW(module(zeros({2, 1, 6})), ValueError);
  module.init_cache({2, 4, 6});
  const Tensor x = layers_golden(prefix + "in");
  TensorList outs;
  for (int64_t t = 0; t < 4; ++t) outs.push_back(module(slice_axis(x, t, t + 1, 1)));
  expect_golden(concatenate(outs, 1), layers_golden(prefix + "out"), 3e-6, "steps");
  expect_golden(module.cached_key->value(), layers_golden(prefix + "cache/cached_key"), 3e-6,
                "keys");
  EXPECT_EQ(module.cache_index->value().item<int>(), 4);
  EXPECT_THROW(module(x), ValueError);
}

TEST(Layers, N_133_Attention) {
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention attention(2, 6, {.qkv_features = 8}, rngs);
  const Tensor mask = nnx::make_causal_mask(ones({2, 4}));
  check_nnx("attention", attention,
            [&](nnx::MultiHeadAttention& m, const Tensor& x) { return m(x, {.mask = mask}); });
  nnx::Rngs again(0);
  nnx::SelfAttention causal(6, 2, {.qkv_features = 8, .causal = true}, again);
  check_nnx("attention", causal);
}

TEST(Layers, L_145_Dropout) {
  check_linen("dropout", linen_run(linen::Dropout{.rate = 0.3, .deterministic = false}),
              {.rngs = {{"dropout", Key(3)}}});
  check_linen("dropout_broadcast",
              linen_run(linen::Dropout{.rate = 0.5, .broadcast_dims = {1}, .deterministic = false}),
              {.rngs = {{"dropout", Key(3)}}});
}

TEST(Layers, N_129_DropoutDrawsAnewAtEachCall) {
  nnx::Rngs rngs{{"dropout", Key(3)}};
  nnx::Dropout dropout(0.3, rngs);
  const Tensor x = layers_golden("nnx/dropout/in/0");
  const Tensor first = dropout(x), second = dropout(x);
  expect_golden(stack({first, second}), layers_golden("nnx/dropout/out"), 1e-6, "dropout");
}

TEST(Layers, L_157_N_131_Pooling) {
  using Pool = std::function<Tensor(const Tensor&)>;
  const std::map<std::string, Pool> pools = {{"max_pool",
                                              [](const Tensor& x) {
                                                return linen::max_pool(x, {2, 2}, {2, 2});
                                              }},
                                             {"max_pool_same",
                                              [](const Tensor& x) {
                                                return linen::max_pool(x, {3, 2}, {2, 1}, "SAME");
                                              }},
                                             {"avg_pool",
                                              [](const Tensor& x) {
                                                return linen::avg_pool(x, {2, 2}, {2, 2});
                                              }},
                                             {"avg_pool_same",
                                              [](const Tensor& x) {
                                                return linen::avg_pool(x, {3, 3}, 2, "SAME");
                                              }},
                                             {"avg_pool_same_no_pad",
                                              [](const Tensor& x) {
                                                return linen::avg_pool(x, {3, 3}, 2, "SAME", false);
                                              }},
                                             {"min_pool", [](const Tensor& x) {
                                                return nnx::min_pool(x, {2, 3}, {1, 2});
                                              }}};
  for (const auto& [name, pool] : pools) {
    const std::string prefix = "pool/" + name + "/";
    const Tensor x = layers_golden(prefix + "in"), expected = layers_golden(prefix + "out");
    expect_golden(pool(x), expected, 1e-6, name);
    const Tensor weights = random::normal(Key(2), expected.shape());
    const auto loss = [&](const Tensor& v) { return sum(pool(v) * weights); };
    expect_golden(grad(loss)(x), layers_golden(prefix + "grad"), 3e-6, name + " gradient");
  }
  EXPECT_EQ(golden_below("pool/").size(), 3 * pools.size());
}

}  // namespace
}  // namespace linnet::layers_golden_test
