// Rules of layers that hold beside their golden numbers: normalisation, activations, initialisers,
// settings that are given once.
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

#include "linnet/layers/merge_param.h"

namespace linnet::layers_rules_test {
namespace {

using linen::Scope;
using linen::Variables;
using testing::expect_golden;
using testing::expect_values;

using Names = std::vector<std::string>;

TEST(LayerRules, L_072_a_parameter_of_module_or_call_is_given_once) {
  const std::optional<bool> none, yes = true, no = false;
  EXPECT_TRUE(linen::merge_param("deterministic", yes, none));
  EXPECT_FALSE(linen::merge_param("deterministic", none, no));
  EXPECT_EQ(linen::merge_param("size", std::optional<int64_t>(), std::optional<int64_t>(3)), 3);
  const auto text = [](std::optional<bool> a, std::optional<bool> b) -> std::string {
    try {
      linen::merge_param("deterministic", a, b);
    } catch (const ValueError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(text(none, none),
            "merge_param: 'deterministic' must be given once, to the layer or to the call; it was "
            "given to neither");
  EXPECT_EQ(text(yes, no),
            "merge_param: 'deterministic' must be given once, to the layer or to the call; it was "
            "given to both");
}

TEST(LayerRules, L_128_the_scale_goes_into_the_factor_and_the_dtype_is_the_common_one) {
  // variance + epsilon is 4e-38 here and the scale 1e-19: (x * rsqrt) * scale would overflow f32.
  const Tensor x = tensor({{3e38f, -3e38f, 3e38f, -3e38f}});
  const Variables tiny{{"params", Variables{{"scale", full({4}, 1e-19)}}}};
  const linen::BatchNorm norm{.use_running_average = true, .epsilon = 0, .use_bias = false};
  const Variables running{
      {"batch_stats", Variables{{"mean", zeros({4})}, {"var", full({4}, 4e-38)}}}};
  expect_values(linen::apply(norm, tiny | running, x), {1.5e38f, -1.5e38f, 1.5e38f, -1.5e38f}, 1e33,
                "factor first");
  // The result has the common dtype of input and parameters, or the one that is asked for.
  const Tensor narrow = ones({2, 4}, DType::kBF16);
  const auto dtype_of = [](const auto& layer, const Tensor& input) {
    return linen::init_with_output(layer, Key(0), input).first.dtype();
  };
  EXPECT_EQ(dtype_of(linen::LayerNorm{}, narrow), DType::kF32) << "parameters are f32";
  EXPECT_EQ(dtype_of(linen::LayerNorm{.param_dtype = DType::kBF16}, narrow), DType::kBF16);
  EXPECT_EQ(dtype_of(linen::LayerNorm{.dtype = DType::kF16}, ones({2, 4})), DType::kF16);
  EXPECT_EQ(dtype_of(linen::RMSNorm{.dtype = DType::kBF16}, ones({2, 4})), DType::kBF16);
  EXPECT_EQ(dtype_of(linen::LayerNorm{.use_bias = false, .use_scale = false}, narrow), DType::kBF16)
      << "the input alone";
}

TEST(LayerRules, L_132_rms_norm_subtracts_no_mean_and_has_no_bias) {
  const Tensor x = tensor({{1.f, 2.f, 3.f, 4.f}, {0.f, -1.f, 5.f, 2.f}});
  const auto [y, vars] = linen::init_with_output(linen::RMSNorm{}, Key(0), x);
  EXPECT_EQ(vars["params"].keys(), Names{"scale"});
  // flax.linen.RMSNorm on the same input.
  expect_values(y,
                {0.365148336f, 0.730296671f, 1.09544504f, 1.46059334f, 0.f, -0.365148336f,
                 1.82574165f, 0.730296671f},
                1e-6, "of Flax");
  const Variables doubled = tree::map(vars, [](const Tensor& t) { return t * 2; });
  expect_golden(linen::apply(linen::RMSNorm{}, doubled, x), y * 2, 1e-6, "scaled");
}

TEST(LayerRules, L_134_instance_norm_is_group_norm_with_a_channel_a_group) {
  const Tensor x = random::normal(Key(1), {2, 5, 3, 6});
  const auto [y, vars] = linen::init_with_output(linen::InstanceNorm{}, Key(0), x);
  EXPECT_EQ(vars["params"]["scale"].shape(), Shape{6});
  expect_golden(y, linen::apply(linen::GroupNorm{.num_groups = 6}, vars, x), 2e-6, "groups");
  expect_golden(
      y, linen::apply(linen::LayerNorm{.reduction_axes = {1, 2}, .feature_axes = {-1}}, vars, x),
      2e-6, "layer norm over the others");
  // flax.linen.InstanceNorm
  const Tensor image = reshape(tensor({1.f, 2.f, 3.f, 4.f, 0.f, -1.f, 5.f, 2.f}), {1, 2, 2, 2});
  expect_values(linen::init_with_output(linen::InstanceNorm{}, Key(0), image).first,
                {-0.650944471f, 0.140027985f, 0.390566707f, 1.26025188f, -1.17170012f, -1.54030788f,
                 1.43207788f, 0.140027985f},
                1e-6, "of Flax");
  for (const int64_t axis : {int64_t{0}, int64_t{-4}}) {
    EXPECT_THROW(linen::init(linen::InstanceNorm{.feature_axes = {axis, -1}}, Key(0), x),
                 ValueError);
  }
}

TEST(LayerRules, L_143_self_attention_is_attention_to_the_queries) {
  const Tensor x = random::normal(Key(1), {2, 4, 6}), mask = layers::make_causal_mask(ones({2, 4}));
  const linen::SelfAttention self{.heads = 2, .qkv_features = 8};
  const linen::MultiHeadDotProductAttention general{.heads = 2, .qkv_features = 8};
  const Variables vars = linen::init(self, Key(0), x);
  const linen::AttentionCall call{.mask = mask};
  const auto y = linen::apply(self, vars, x, call).to_vector<float>();
  EXPECT_EQ(y, linen::apply(general, vars, x, x, call).to_vector<float>());
  const Variables others = linen::init(general, Key(0), x, x);
  EXPECT_EQ(y, linen::apply(general, others, x, x, call).to_vector<float>()) << "from its own init";
}

TEST(LayerRules, L_140_attention_asks_for_deterministic_only_if_it_drops) {
  const Tensor x = random::normal(Key(1), {2, 4, 6});
  using Attention = linen::MultiHeadDotProductAttention;
  const Attention plain{.heads = 2};
  const Variables vars = linen::init(plain, Key(0), x);
  const Tensor y = linen::apply(plain, vars, x);  // nothing to say at rate 0
  const Attention drops{.heads = 2, .dropout_rate = 0.5};
  EXPECT_THROW(linen::apply(drops, vars, x), ValueError);
  expect_golden(linen::apply(drops, vars, x, linen::AttentionCall{.deterministic = true}), y, 1e-6,
                "deterministic");
  const Attention in_training{.heads = 2, .dropout_rate = 0.5, .deterministic = false};
  EXPECT_THROW(linen::apply(in_training, vars, x, linen::AttentionCall{.deterministic = true}),
               ValueError);
  // The key is the argument's, or the next of the stream.
  const Tensor given =
      linen::apply(in_training, vars, x, linen::AttentionCall{.dropout_key = Key(7)});
  EXPECT_NE(given.to_vector<float>(), y.to_vector<float>());
  EXPECT_EQ(linen::apply(in_training, vars, x, linen::AttentionCall{.dropout_key = Key(7)})
                .to_vector<float>(),
            given.to_vector<float>());
  const Tensor of_stream =
      linen::apply_with({.rngs = {{"dropout", Key(3)}}}, in_training, vars, x).first;
  const Tensor key = linen::apply_with(
                         {.rngs = {{"dropout", Key(3)}}},
                         [](Scope& s) { return s.make_rng("dropout").data(); }, vars)
                         .first;
  EXPECT_EQ(linen::apply(in_training, vars, x, linen::AttentionCall{.dropout_key = Key(key)})
                .to_vector<float>(),
            of_stream.to_vector<float>());
  EXPECT_THROW(linen::apply(in_training, vars, x), ModuleError) << "neither";
}

TEST(LayerRules, L_158_activations) {
  const Tensor x = tensor({-4.f, -2.5f, -1.f, -.5f, 0.f, .5f, 1.f, 2.5f, 4.f, 7.f});
  const auto check = [&](const char* name, Tensor (*f)(const Tensor&),
                         const std::vector<float>& expected) {
    const std::vector<float> got = f(x).to_vector<float>();
    ASSERT_EQ(got.size(), expected.size()) << name;
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], expected[i], 2e-6f) << name << ' ' << i;
  };
  // flax.linen.NAME(x) of jax 0.10.
  check("celu", [](const Tensor& t) { return celu(t); },
        {-0.98168439f, -0.91791499f, -0.63212055f, -0.39346933f, 0, 0.5f, 1, 2.5f, 4, 7});
  check("elu", [](const Tensor& t) { return elu(t); },
        {-0.98168439f, -0.91791499f, -0.63212055f, -0.39346933f, 0, 0.5f, 1, 2.5f, 4, 7});
  check("gelu", [](const Tensor& t) { return gelu(t); },
        {-7.0095062e-05f, -0.015084296f, -0.15880796f, -0.154286f, 0, 0.345714f, 0.84119201f,
         2.4849157f, 3.9999299f, 7});
  check("hard_sigmoid", [](const Tensor& t) { return hard_sigmoid(t); },
        {0, 0.083333336f, 0.33333334f, 0.41666669f, 0.5f, 0.58333337f, 0.66666669f, 0.91666669f, 1,
         1});
  check("hard_silu", [](const Tensor& t) { return hard_silu(t); },
        {-0, -0.20833334f, -0.33333334f, -0.20833334f, 0, 0.29166669f, 0.66666669f, 2.2916667f, 4,
         7});
  check("hard_tanh", [](const Tensor& t) { return hard_tanh(t); },
        {-1, -1, -1, -0.5f, 0, 0.5f, 1, 1, 1, 1});
  check("leaky_relu", [](const Tensor& t) { return leaky_relu(t); },
        {-0.039999999f, -0.024999999f, -0.0099999998f, -0.0049999999f, 0, 0.5f, 1, 2.5f, 4, 7});
  check("log_sigmoid", [](const Tensor& t) { return log_sigmoid(t); },
        {-4.0181499f, -2.5788898f, -1.3132617f, -0.97407699f, -0.69314718f, -0.47407699f,
         -0.31326169f, -0.078889735f, -0.018149929f, -0.00091146649f});
  check("relu", [](const Tensor& t) { return relu(t); }, {0, 0, 0, 0, 0, 0.5f, 1, 2.5f, 4, 7});
  check("relu6", [](const Tensor& t) { return relu6(t); }, {0, 0, 0, 0, 0, 0.5f, 1, 2.5f, 4, 6});
  check("selu", [](const Tensor& t) { return selu(t); },
        {-1.7258987f, -1.6137857f, -1.1113307f, -0.69175822f, 0, 0.52535051f, 1.050701f, 2.6267526f,
         4.2028041f, 7.354907f});
  check("sigmoid", [](const Tensor& t) { return sigmoid(t); },
        {0.01798621f, 0.075858176f, 0.26894143f, 0.37754068f, 0.5f, 0.62245935f, 0.7310586f,
         0.92414182f, 0.98201376f, 0.999089f});
  check("silu", [](const Tensor& t) { return silu(t); },
        {-0.07194484f, -0.18964544f, -0.26894143f, -0.18877034f, 0, 0.31122968f, 0.7310586f,
         2.3103545f, 3.928055f, 6.9936228f});
  check("swish", [](const Tensor& t) { return swish(t); },
        {-0.07194484f, -0.18964544f, -0.26894143f, -0.18877034f, 0, 0.31122968f, 0.7310586f,
         2.3103545f, 3.928055f, 6.9936228f});
  check("soft_sign", [](const Tensor& t) { return soft_sign(t); },
        {-0.80000001f, -0.71428573f, -0.5f, -0.33333334f, 0, 0.33333334f, 0.5f, 0.71428573f,
         0.80000001f, 0.875f});
  check("softplus", [](const Tensor& t) { return softplus(t); },
        {0.018149929f, 0.078889735f, 0.31326169f, 0.47407699f, 0.69314718f, 0.97407699f, 1.3132617f,
         2.5788898f, 4.0181499f, 7.0009112f});
  check("tanh", [](const Tensor& t) { return tanh(t); },
        {-0.99932921f, -0.98661435f, -0.76159418f, -0.46211717f, 0, 0.46211717f, 0.76159418f,
         0.98661435f, 0.99932921f, 0.99999833f});
  check("softmax", [](const Tensor& t) { return softmax(t); },
        {1.5656326e-05f, 7.0166781e-05f, 0.00031446569f, 0.00051846629f, 0.00085480639f,
         0.0014093375f, 0.0023236049f, 0.010413674f, 0.046670847f, 0.93740904f});
  check("log_softmax", [](const Tensor& t) { return log_softmax(t); },
        {-11.064635f, -9.5646353f, -8.0646353f, -7.5646358f, -7.0646358f, -6.5646358f, -6.0646358f,
         -4.5646358f, -3.0646355f, -0.064635575f});
  check("glu", [](const Tensor& t) { return glu(t); },
        {-2.4898374f, -1.8276465f, -0.92414182f, -0.49100688f, 0});
  check("hard_swish", linen::hard_swish, hard_silu(x).to_vector<float>());
  check("standardize", [](const Tensor& t) { return standardize(t); },
        {-1.55717862f, -1.06020677f, -0.563234866f, -0.397577554f, -0.231920227f, -0.0662629232f,
         0.0993943885f, 0.596366286f, 1.09333825f, 2.08728218f});
  EXPECT_NEAR(logsumexp(x).item<float>(), 7.06463575f, 2e-6f);
  expect_values(one_hot(tensor({1, 0, 3}), 3), {0, 1, 0, 1, 0, 0, 0, 0, 0}, 0,
                "out of range: zeros");
  expect_values(gelu(tensor({1.f}), false), {0.841344746f}, 1e-6, "the exact form on request");
  const Tensor mask = less(iota(DType::kI32, {10}), 4);
  expect_golden(slice_axis(standardize(x, {.where = mask}), 0, 4, 0),
                standardize(slice_axis(x, 0, 4, 0)), 2e-6, "where");
  expect_golden(standardize(x, {.epsilon = 0, .mean = Tensor(1.f), .variance = Tensor(4.f)}),
                (x - 1) / 2, 1e-6, "given");
}

TEST(LayerRules, L_159_initialisers_are_functions_of_key_shape_and_dtype) {
  const std::map<std::string, Initializer> all{
      {"zeros", init::zeros()},
      {"ones", init::ones()},
      {"constant", init::constant(0.5)},
      {"uniform", init::uniform()},
      {"normal", init::normal()},
      {"truncated_normal", init::truncated_normal()},
      {"variance_scaling",
       init::variance_scaling(1, init::FanMode::kFanAvg, init::Distribution::kUniform)},
      {"lecun_normal", init::lecun_normal()},
      {"lecun_uniform", init::lecun_uniform()},
      {"glorot_normal", init::glorot_normal()},
      {"glorot_uniform", init::glorot_uniform()},
      {"xavier_normal", init::xavier_normal()},
      {"xavier_uniform", init::xavier_uniform()},
      {"he_normal", init::he_normal()},
      {"he_uniform", init::he_uniform()},
      {"kaiming_normal", init::kaiming_normal()},
      {"kaiming_uniform", init::kaiming_uniform()},
      {"orthogonal", init::orthogonal()},
      {"delta_orthogonal", init::delta_orthogonal()}};
  for (const auto& [name, initializer] : all) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const Tensor made = initializer(Key(0), {3, 2, 4}, dtype);
      EXPECT_EQ(made.shape(), (Shape{3, 2, 4})) << name;
      EXPECT_EQ(made.dtype(), dtype) << name;
      EXPECT_EQ(made.to_vector<float>(), initializer(Key(0), {3, 2, 4}, dtype).to_vector<float>())
          << name;
    }
  }
  EXPECT_EQ(all.at("xavier_normal")(Key(1), {4, 4}, DType::kF32).to_vector<float>(),
            all.at("glorot_normal")(Key(1), {4, 4}, DType::kF32).to_vector<float>());
  // A user's function, and one that gives a box.
  const linen::Dense dense{
      .features = 2,
      .kernel_init = [](const Key&, const Shape& shape,
                        DType dtype) { return full(shape, 3, dtype); },
      .bias_init = [](const Key&, const Shape& shape,
                      DType dtype) { return linen::partitioned(ones(shape, dtype), {"out"}); }};
  const auto [y, vars] = linen::init_with_output(dense, Key(0), ones({1, 4}));
  expect_values(y, {13, 13}, 0, "3 * 4 + 1");
  EXPECT_EQ(vars["params"]["bias"].box()->kind, "Partitioned");
}

TEST(LayerRules, L_160_a_slope_that_is_learned) {
  const Tensor x = tensor({-4.f, -.5f, 0.f, 7.f});
  const auto [y, vars] = linen::init_with_output(linen::PReLU{}, Key(0), x);
  EXPECT_EQ(to_string(vars), "params/negative_slope: f32[]\n");
  expect_values(y, {-0.04f, -0.005f, 0.f, 7.f}, 1e-7, "0.01 at first");
  const linen::PReLU steep{.negative_slope_init = 0.5};
  const auto [half, other] = linen::init_with_output(steep, Key(0), astype(x, DType::kBF16));
  EXPECT_EQ(half.dtype(), DType::kBF16) << "in the dtype of x";
  EXPECT_EQ(other["params"]["negative_slope"].dtype(), DType::kF32);
  expect_values(half, {-2, -0.25f, 0, 7}, 0, "half");
  const Variables g =
      grad([&](const Variables& v) { return sum(linen::apply(linen::PReLU{}, v, x)); })(vars);
  EXPECT_EQ(g["params"]["negative_slope"].value().item<float>(), -4.5f);
}

}  // namespace
}  // namespace linnet::layers_rules_test
